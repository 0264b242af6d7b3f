"""Stand-ins: what a result looks like that nobody has computed, from the schema of its type.

A schema says what is certain of every result, so what it leaves open stays open: no value is made up for it and
nothing is said against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from agentkit.planner.tool_use import Place
from agentkit.tools import Tool

Schema = Mapping[str, Any]
OPEN: Final[Schema] = {}
"""The schema of what may be anything."""
_DEEPEST = 32
_SCALARS: Final[Mapping[str, Any]] = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}


class Unknown(Exception):
    """There is no stand-in: the schema leaves the value open."""


def result_schema(tool: Tool) -> Schema:
    """Return the JSON schema of what `tool` gives back, open where it does not say.

    A text may hold JSON, which references read, so a result that is a text is open as well.
    """
    schema = _schema_of(tool)
    return OPEN if schema.get("type") == "string" else schema


@lru_cache(maxsize=1024)
def _schema_of(tool: Tool) -> Schema:
    if tool.returns is None or isinstance(tool.returns, Mapping):
        return tool.returns or OPEN
    try:
        return TypeAdapter(
            tool.returns
        ).json_schema()  # of input: there a Decimal is a number, as results write it
    except (PydanticUserError, PydanticUndefinedAnnotation):
        return OPEN


def part_of(schema: Schema, path: Place) -> Schema | None:
    """Return the schema of what lies at `path`, None where nothing can."""
    parts, root = [schema], schema
    for step in path:
        parts = [inner for part in parts for branch in _branches(part, root) for inner in _inner(branch, step)]
        if not parts:
            return None
    found = parts[0] if len(parts) == 1 else {"anyOf": parts}
    return {**found, "$defs": root["$defs"]} if "$defs" in root else found


def known_parts(schema: Schema) -> tuple[str, ...]:
    """Return the names that lie in a value of `schema`."""
    return tuple(
        dict.fromkeys(name for branch in _branches(schema, schema) for name in branch.get("properties", ()))
    )


def stand_in(schema: Schema) -> Any:
    """Return a value of `schema`; raises Unknown for one that is open, or open in a part."""
    return _made(schema, schema, 0)


def _made(schema: Schema, root: Schema, depth: int) -> Any:
    if depth > _DEEPEST:
        raise Unknown
    (branch, *_) = [each for each in _branches(schema, root) if each.get("type") != "null"] or [schema]
    for key in ("const", "enum", "examples"):
        if key in branch:
            return branch[key] if key == "const" else branch[key][0]
    kind = branch.get("type")
    if kind == "array" and branch.get("items"):
        return [_made(branch["items"], root, depth + 1)]
    if kind == "object" and branch.get("properties"):
        return {name: _made(part, root, depth + 1) for name, part in branch["properties"].items()}
    if not isinstance(kind, str) or kind not in _SCALARS:
        raise Unknown
    least = branch.get("minimum", 1)
    return max(least, 1) if kind in ("integer", "number") else _SCALARS[kind]


def _branches(schema: Schema, root: Schema) -> list[Schema]:
    """Return the alternatives of `schema`, references to definitions followed."""
    return _resolved(schema, root, 0)


def _resolved(part: Any, root: Schema, depth: int) -> list[Schema]:
    if not isinstance(part, Mapping) or depth > _DEEPEST:  # a part may be `true`
        return [OPEN]
    if (name := part.get("$ref")) is not None:
        inner = root.get("$defs", {}).get(str(name).removeprefix("#/$defs/"), OPEN)
        return _resolved(inner, root, depth + 1)
    alternatives = part.get("anyOf") or part.get("oneOf")
    if alternatives:
        return [branch for each in alternatives for branch in _resolved(each, root, depth + 1)]
    return [part]


def _inner(branch: Schema, step: str | int) -> list[Schema]:
    """Return the schema of the part `step` of a value of `branch`; none where it has no such part."""
    kind = branch.get("type")
    if isinstance(kind, list) or kind is None:
        return [OPEN]
    if kind == "array":
        return [branch.get("items") or OPEN] if isinstance(step, int) else []
    if kind != "object" or not isinstance(step, str):
        return []
    properties, others = branch.get("properties", {}), branch.get("additionalProperties", None)
    if step in properties:
        return [properties[step]]
    if others is None:
        return [] if properties else [OPEN]
    return [others if isinstance(others, Mapping) else OPEN] if others else []
