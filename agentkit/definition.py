"""An agent definition read from YAML: the spec, and where each of its values stands.

Whatever is wrong, the caller gets one SpecError at the first problem's file, line and column. No message quotes
a value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentkit.errors import SpecError
from agentkit.includes import read_tree
from agentkit.model_spec import LocalModelSpec
from agentkit.references import check_references, suggest
from agentkit.spec import AppSpec, InstructionsFile
from agentkit.spec_parts import SPELLING
from agentkit.yaml_reader import Keys, Node, Place, dotted, read_text

_WORDS = {
    "string_type": "should be text",
    "tuple_type": "should be a list",
    "dict_type": "should be a map",
    "model_type": "should be a map",
    "model_attributes_type": "should be a map",
    "too_short": "should not be empty",
    "string_too_short": "should not be empty",
}
"""Pydantic's errors in the words of YAML; the others are clear as they are."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A valid definition; paths in `spec` are resolved and instruction files read."""

    spec: AppSpec
    path: Path
    root: Node = field(repr=False)

    def error(self, what: str, *keys: str | int, hint: str = "") -> SpecError:
        """Return the error that says `what` is wrong with the value at `keys`."""
        return self.root.find(keys)[1].error(what, hint)


def read_definition(path: str | Path, env: Mapping[str, str] | None = None) -> Definition:
    """Read and check the definition at `path`; `env` stands in for the environment.

    Raises SpecError at the first problem. Nothing the definition names is imported, loaded or called.
    """
    root = read_tree(Path(path), os.environ if env is None else env)
    data = root.plain()
    spec = _validated(data, root)
    check_references(spec, root)
    return Definition(_with_files(spec, root), Path(path), root)


# ---------------------------------------------------------------- shape
def _validated(data: Any, root: Node) -> AppSpec:
    try:
        return AppSpec.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
    problems = [_explain(details, root) for details in found if not _follows(details, found)]
    # raised outside the handler: pydantic's error holds the values, and must not be chained to ours
    raise min(problems, key=lambda problem: (problem.path != root.place.path, problem.line, problem.column))


def _follows(details: Any, found: Sequence[Any]) -> bool:
    """Tell whether a list is called too short only because items of it are wrong, which stands among `found`."""
    place = details["loc"]
    below = any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found)
    return below and details["type"] == "too_short"


def _explain(details: Any, root: Node) -> SpecError:
    """Turn one of pydantic's errors into ours; its location may hold names of union members, which are skipped."""
    kind, context = details["type"], details.get("ctx", {})
    location = details["loc"]
    keys, node = root.find(location)
    subject = dotted(keys) or "the definition"
    if kind == "unknown_key":
        place = node.find((context["key"],))[1].head
        within = f" in {dotted(keys)}" if keys else ""
        return place.error(f"unknown key {context['key']!r}{within}", suggest(context["key"], context["known"]))
    if kind in ("missing", "union_tag_not_found"):
        missing = location[-1] if kind == "missing" else context["discriminator"].strip("'")
        return node.head.error(f"{subject} needs {missing}", f"add {missing}: …")
    if kind == "union_tag_invalid":
        keys, node = node.find((context["discriminator"].strip("'"),))
        subject = f"{subject}.{dotted(keys)}"
    if "key" in context:
        return node.find((context["key"],))[1].head.error(f"{subject} {details['msg']}")
    if location[-1] == "[key]":
        return node.head.error(f"key {subject} {_words(details)}", _hint(details, keys[-1]))
    return node.error(f"{subject} {_words(details)}", _hint(details, node.value))


def _words(details: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return SPELLING[context["pattern"]]
    if kind == "union_tag_invalid":
        return f"should be {context['expected_tags'].replace(', ', ' or ')}"
    if kind == "too_short" and context["min_length"] > 1:
        return f"needs {context['min_length']} or more"
    return _WORDS.get(kind) or details["msg"].removeprefix("Input ")


def _hint(details: Any, value: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes"
    choices = re.findall(r"'([^']*)'", context.get("expected") or context.get("expected_tags") or "")
    if len(choices) > 1 and isinstance(value, str):
        close = get_close_matches(value, choices, 1)
        return f"did you mean {close[0]!r}?" if close else ""
    return str(context.get("hint", ""))


# ---------------------------------------------------------------- files
def _with_files(spec: AppSpec, root: Node) -> AppSpec:
    """Resolve paths against the file they stand in, and read instruction files."""
    for keys in _paths(spec):
        spec = _put(spec, keys, str(_resolve(root, keys)[0]))
    agents = dict(spec.agents)
    for name, agent in agents.items():
        if isinstance(agent.instructions, InstructionsFile):
            text = read_text(*_resolve(root, ("agents", name, "instructions", "file")))
            agents[name] = agent.model_copy(update={"instructions": text})
    return spec.model_copy(update={"agents": agents})


def _paths(spec: AppSpec) -> Iterator[Keys]:
    """Yield where a path stands that is relative to its file."""
    for name, model in spec.models.items():
        if isinstance(model, LocalModelSpec):
            if model.path is not None:
                yield ("models", name, "path")
        elif model.cache is not None:
            yield ("models", name, "cache", "path")
    for name, router in spec.routers.items():
        for kind, part in (("fitted", router.fitted), ("panel", router.panel)):
            if part is not None and part.artefact is not None:
                yield ("routers", name, kind, "artefact")
    for name, agent in spec.agents.items():
        if agent.tool_search is not None and agent.tool_search.cache is not None:
            yield ("agents", name, "tool_search", "cache")
        if agent.tool_making is not None:
            yield from (("agents", name, "tool_making", key) for key in ("examples", "store"))


def _put(part: Any, keys: Keys, value: str) -> Any:
    """Return `part` with `value` at `keys`."""
    key, *rest = keys
    if isinstance(part, Mapping):
        return {**part, key: _put(part[key], tuple(rest), value) if rest else value}
    new = _put(getattr(part, str(key)), tuple(rest), value) if rest else value
    return part.model_copy(update={str(key): new})


def _resolve(root: Node, keys: Keys) -> tuple[Path, Place]:
    node = root.find(keys)[1]
    return (Path(node.place.path).parent / str(node.value)).absolute(), node.place
