"""Checks a tool call of a plan against the tool's schema before anything runs, and fills it in when it does.

What a reference stands for is not known yet, so what would be wrong with its value is left to the call itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from agentkit.errors import PlanError, ToolError
from agentkit.messages import ToolCall
from agentkit.planner.tool_use import Place, Ref, ToolUse
from agentkit.tools import Registry, parse_arguments


def problems_of_use(use: ToolUse, tools: Registry) -> tuple[str, ...]:
    """Return what keeps `use` from being a call of one of `tools`, nothing when it is one."""
    try:
        tool = tools.get(use.tool)
        text = json.dumps(use.arguments_with(lambda place, ref: None))
        if not use.references:
            parse_arguments(tool, ToolCall("", tool.name, text))
            return ()
    except ToolError as error:
        return (str(error),)
    try:
        tool.parse(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return tuple(problem_of(use, detail) for detail in details if not _is_open(use.arguments, detail["loc"]))
    return ()


def value_of(ref: Ref, text: str, schema: Mapping[str, Any], place: Place) -> Any:
    """Return what `ref` stands for in the result `text`, as the argument at `place` of `schema` wants it.

    JSON is read, any other text stays as it is; where only text is taken the JSON is not read. Raises PlanError
    when there is nothing at the path of `ref`.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # a tool may answer anything, also brackets without end
        found = text
    for part in ref.path:
        try:
            if isinstance(found, str):  # whose characters are no parts
                raise TypeError
            found = found[part]
        except (KeyError, IndexError, TypeError):
            where = "/".join(map(str, ref.path))
            raise PlanError(f"the result of step {ref.step!r} has nothing at {where}") from None
    if isinstance(found, str) or not wants_text(schema, place):
        return found
    return json.dumps(found) if ref.path else text


def wants_text(schema: Mapping[str, Any], place: Place) -> bool:
    """Tell whether `schema` takes text and nothing else at `place`."""
    for part in place:
        inner = schema.get("properties", {}).get(part) if isinstance(part, str) else schema.get("items")
        if not isinstance(inner, Mapping):
            return False
        schema = inner
    kinds: set[str] = set()
    for branch in (schema, *schema.get("anyOf", ())):
        named = branch.get("type", ()) if isinstance(branch, Mapping) else ()  # a branch may be `true`
        kinds.update([named] if isinstance(named, str) else named)
    return kinds - {"null"} == {"string"}


def _is_open(arguments: Mapping[str, Any], location: Place) -> bool:
    """Tell whether a problem is that of a reference, which is not known yet; one of the whole may be anybody's."""
    return not location or reference_at(arguments, location) is not None


def reference_at(arguments: Mapping[str, Any], location: Place) -> Ref | None:
    """Return the reference that a problem at `location` is about, None when it is not about one.

    Pydantic puts the branches of a union between the parts of a place.
    """
    node: Any = arguments
    for part in location:
        if isinstance(node, Ref):
            break
        if isinstance(node, Mapping):
            node = node.get(part, node)
        elif isinstance(node, list | tuple) and isinstance(part, int) and part < len(node):
            node = node[part]
    return node if isinstance(node, Ref) else None


def problem_of(use: ToolUse, detail: ErrorDetails) -> str:
    """Say what is wrong with a call, for a model to act on."""
    where = ".".join(map(str, detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    return f"arguments of {use.tool!r} are wrong: {where!r}: {message[:1].lower()}{message[1:]}"
