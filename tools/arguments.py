"""Reads the arguments a model wrote, and says what is wrong with them in words it can act on.

Types are strict, as the schema says: "5" is not the integer 5. A model that writes it has misread the
schema, which is what a router wants to know; the problem tells it to drop the quotes.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails, ValidationError, from_json, to_json

from agentkit.errors import ToolArgumentError
from agentkit.messages import ToolCall
from agentkit.tools.tool import Tool

_SHOWN = 60
_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})  # in a dataclass it is the latter
_UNQUOTED = frozenset({"int_type", "float_type", "bool_type"})
_LITERAL = re.compile(r"-?\d+(?:\.\d+)?|true|false")


def parse_arguments(tool: Tool, call: ToolCall) -> dict[str, Any]:
    """Return the arguments of `call` as `tool` wants them, defaults included; no text at all means `{}`.

    Nothing runs and nothing is spent. ToolArgumentError lists every problem.
    """
    text = call.arguments.strip() or "{}"
    try:
        return tool.parse(text)
    except ValidationError as error:
        names = list(tool.spec.parameters.get("properties", ()))
        problems = [_problem(detail, text, names) for detail in error.errors(include_url=False)]
        raise ToolArgumentError(tool.name, problems) from error
    except Exception as error:  # a validator or default factory of the tool's own types broke
        raise ToolArgumentError(tool.name, [f"they cannot be checked: {type(error).__name__}: {error}"]) from error


def _problem(detail: ErrorDetails, text: str, names: list[str]) -> str:
    kind, location, message = detail["type"], detail["loc"], detail["msg"]
    if kind == "json_invalid":
        return message.replace("Invalid JSON:", "they are not valid JSON:")
    path = _path(location, text, missing=kind == "missing")
    if kind == "missing":
        return f"{path!r} is missing"
    if kind in _UNKNOWN:
        return f"{path!r} is unknown; {_known(path, names) if len(location) == 1 else 'leave it out'}"
    subject = f"{path!r}:" if path else "they"
    message = message.removeprefix("Input ").removeprefix("Value error, ")
    given = detail["input"]
    quoted = kind in _UNQUOTED and isinstance(given, str) and _LITERAL.fullmatch(given)
    hint = "; write it without quotes" if quoted else ""
    return f"{subject} {message[:1].lower()}{message[1:]}, not {_shown(given)}{hint}"


def _known(name: str, names: list[str]) -> str:
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {close[0]!r}?"
    return f"the arguments are {', '.join(map(repr, names))}" if names else "it takes no arguments"


def _path(location: tuple[int | str, ...], text: str, *, missing: bool) -> str:
    """Write a pydantic location as `a.b[0]`, without the tags it adds for the branches of a union."""
    node: Any = from_json(text)
    parts: list[int | str] = []
    for part in location:
        members = dict(enumerate(node)) if isinstance(node, list) else node
        if isinstance(members, dict) and part in members:
            parts.append(part)
            node = members[part]
    if missing:
        parts.append(location[-1])
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _shown(value: object) -> str:
    text = to_json(value, fallback=repr).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
