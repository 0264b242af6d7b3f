"""A tool call as a plan says it: the tool, and arguments in which results of other steps are references.

A reference is an object, not a mark in a text: what it stands for keeps its type, and no result can pass for one.
In JSON it is {"$from": "step"} or, for a part of a JSON result, {"$from": "step", "path": ["items", 0, "id"]}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentkit.errors import PlanError

REFERENCE = "$from"
"""The key that makes a JSON object a reference."""

Place = tuple[str | int, ...]
"""Where something is in the arguments: keys and indices from the outside in."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for the result of `step`, or for what lies at `path` in it."""

    step: str
    path: Place = ()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of `tool`; `arguments` may hold a `Ref` wherever they may hold a value.

    `references` has every one of them and its place.
    """

    tool: str
    arguments: Mapping[str, Any]
    references: tuple[tuple[Place, Ref], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "references", tuple(_references(self.arguments, ())))

    @classmethod
    def read(cls, tool: str, arguments: Mapping[str, Any]) -> ToolUse:
        """Read JSON in which references are objects; raises PlanError for one that is malformed."""
        return cls(tool, {key: _read(value) for key, value in arguments.items()})

    def arguments_with(self, value_of: Callable[[Place, Ref], Any]) -> dict[str, Any]:
        """Return the arguments with a value in place of each reference."""
        filled: Mapping[str, Any] = _filled(self.arguments, (), value_of) if self.references else self.arguments
        return dict(filled)


def _read(node: Any) -> Any:
    if isinstance(node, list):
        return [_read(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    if REFERENCE not in node:
        return {key: _read(value) for key, value in node.items()}
    step, path = node[REFERENCE], node.get("path", [])
    if not isinstance(step, str) or not isinstance(path, list) or not node.keys() <= {REFERENCE, "path"}:
        raise PlanError(f'{json.dumps(node)} is no reference; write {{"{REFERENCE}": "step id"}}')
    return Ref(step, tuple(path))


def _filled(node: Any, place: Place, value_of: Callable[[Place, Ref], Any]) -> Any:
    if isinstance(node, Ref):
        return value_of(place, node)
    if isinstance(node, Mapping):
        return {key: _filled(value, (*place, key), value_of) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_filled(value, (*place, index), value_of) for index, value in enumerate(node)]
    return node


def _references(node: Any, place: Place) -> Iterator[tuple[Place, Ref]]:
    if isinstance(node, Ref):
        yield place, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _references(value, (*place, key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _references(value, (*place, index))
