"""Four public sets of tools and the questions that need them, read as agentkit's own tools."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.evals.public_data import required_folder, rows
from agentkit.tools import Context, Tool
from agentkit.types import ToolSpec

Described = tuple[str, str, Mapping[str, Any]]
"""A tool's name, description and parameters."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the places, in the set's tools, of those that answer it."""

    text: str
    gold: frozenset[int]


@dataclass(frozen=True, slots=True)
class ToolSet:
    """A set's tools and questions."""

    name: str
    tools: tuple[Tool, ...]
    asked: tuple[Asked, ...]

    def sample(self, count: int, seed: int) -> ToolSet:
        """Return the set with at most `count` of its questions, drawn by `seed`."""
        if len(self.asked) <= count:
            return self
        return ToolSet(self.name, self.tools, tuple(random.Random(seed).sample(self.asked, count)))


def read(name: str) -> ToolSet:
    """Return the set `name` of `SETS`; raises ConfigError where its data is not."""
    return SETS[name]()


def _metatool(kind: str) -> ToolSet:
    place = required_folder("tools_metatool")
    tools: list[Described] = [
        (row["tool"], row["description"], {}) for row in rows(place / "tools.jsonl.gz") if row["set"] == kind
    ]
    asked = ((row["query"], row["tool"]) for row in rows(place / f"{kind}_tool_queries.jsonl.gz"))
    pairs = [(text, [gold] if isinstance(gold, str) else gold) for text, gold in asked]
    return _set(f"toole_{kind}", tools, pairs)


def _sealtools() -> ToolSet:
    place = required_folder("tools_sealtools")
    tools: list[Described] = [
        (row["api_name"], f"{row['api_description']} {row['field']}", row["parameters"])
        for row in rows(place / "tools.jsonl.gz")
    ]
    asked = rows(place / "queries.jsonl.gz")
    return _set("sealtools", tools, [(row["query"], [call["api"] for call in row["calling"]]) for row in asked])


def _apibank() -> ToolSet:
    place = required_folder("tools_apibank")
    tools: list[Described] = [(row["name"], row["api_info"], {}) for row in rows(place / "apis.jsonl.gz")]
    asked = [_dialogue(row["turns"]) for row in rows(place / "dialogues.jsonl.gz")]
    return _set("apibank", tools, asked)


def _dialogue(turns: Iterable[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """All the user says, and all that is called."""
    turns = list(turns)
    said = " ".join(turn["text"] for turn in turns if turn["role"] == "User")
    return said, [turn["api_name"] for turn in turns if turn["role"] == "API"]


def _stabletoolbench() -> ToolSet:
    place = required_folder("tools_stabletoolbench")
    tools: list[Described] = []
    for row in rows(place / "apis.jsonl.gz"):
        parameters = {part["name"]: part for part in row["required_parameters"] + row["optional_parameters"]}
        about = f"{row['category_name']} {row['tool_name']}. {row['api_description']}"
        tools.append((row["api_id"], about, parameters))
    asked = rows(place / "queries.jsonl.gz")
    return _set("stabletoolbench", tools, [(row["query"], row["relevant_apis"]) for row in asked])


SETS: Mapping[str, Callable[[], ToolSet]] = {
    "toole_single": lambda: _metatool("single"),
    "toole_multi": lambda: _metatool("multi"),
    "sealtools": _sealtools,
    "apibank": _apibank,
    "stabletoolbench": _stabletoolbench,
}


def _set(name: str, tools: Iterable[Described], pairs: Iterable[tuple[str, Iterable[str]]]) -> ToolSet:
    """Questions whose tools are all unknown are left out: nothing could be found for them."""
    named = list(tools)
    place = {key: index for index, (key, _, _) in enumerate(named)}
    asked = [Asked(text, frozenset(place[key] for key in gold if key in place)) for text, gold in pairs]
    made = tuple(_tool(index, *parts) for index, parts in enumerate(named))
    return ToolSet(name, made, tuple(question for question in asked if question.gold))


def _tool(index: int, key: str, description: str, parameters: Mapping[str, Any]) -> Tool:
    """The tool by a name that providers take; what its own name says goes on being searched."""
    local = key.rsplit("/", 1)[-1]
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in local)[:56]
    properties = {name: {"description": part.get("description") or ""} for name, part in parameters.items()}
    spec = ToolSpec(f"{name}_{index}", description, {"type": "object", "properties": properties})
    return Tool(spec, _unused)


async def _unused(arguments: Mapping[str, Any], context: Context[Any]) -> object:
    raise NotImplementedError("the tools of a retrieval set are found, never called")
