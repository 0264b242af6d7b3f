"""YAML text to plain data that remembers where it stands.

Nothing here knows what the keys mean. Scalars are read by the core schema of YAML 1.2, as editors do, not by
PyYAML's rules of YAML 1.1: `no`, `on` and `20_000` are text. Everything a hostile file could inflate has a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from agentkit.errors import SpecError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 50_000
"""Values of one file, those repeated by aliases counted each time."""

NUMBER = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
"""How a number may be spelled."""

Scalar = str | int | float | bool | None
Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; lines and columns count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def error(self, what: str, hint: str = "") -> SpecError:
        """Return the error that says `what` is wrong here."""
        return SpecError(what, path=self.path, line=self.line, column=self.column, hint=hint)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands; `key` is the place of its key, for a value of a map.

    Values may be secrets, so they are left out of the repr; `from_env` says that a variable was filled in.
    """

    value: Scalar | list[Node] | dict[str, Node] = field(repr=False)
    place: Place
    key: Place | None = None
    from_env: bool = False

    @property
    def head(self) -> Place:
        """Where its key stands, or the value itself if it has none."""
        return self.key or self.place

    def error(self, what: str, hint: str = "") -> SpecError:
        """Return the error that says `what` is wrong with the value; that of a map is reported at its key."""
        return (self.head if isinstance(self.value, dict) else self.place).error(what, hint)

    def find(self, keys: Keys) -> tuple[Keys, Node]:
        """Follow `keys` down, skipping those that are not there; return those found, and the last node."""
        found: Keys = ()
        node = self
        for key in keys:
            value = node.value
            if isinstance(value, dict) and key in value:
                node = value[str(key)]
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                node = value[key]
            else:
                continue
            found = (*found, key)
        return found, node

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def dotted(keys: Keys) -> str:
    """Return a key path as people write it: `agents.main.tools[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def read_text(path: Path, asked: Place) -> str:
    """Return the UTF-8 text of the file at `path`; that it cannot be read is reported at `asked`."""
    try:
        if not path.is_file():
            raise asked.error(f"there is no file {str(path)!r}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise asked.error(f"file {str(path)!r} cannot be read: {error}") from None
    start = Place(str(path))
    if len(content) > MAX_BYTES:
        raise start.error(f"the file is over {MAX_BYTES:,} bytes", "split it with include")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
    raise _place_after(start, before).error("the file is not UTF-8 text", "save it as UTF-8")


def _place_after(start: Place, text: str) -> Place:
    return replace(start, line=text.count("\n") + 1, column=len(text) - text.rfind("\n"))


def parse_yaml(path: str, text: str) -> Node:
    """Return the map that `text` holds, includes and variables left as they are; `path` is for messages only."""
    try:
        root = _Composer(path, text).document()
        problem = None if isinstance(root.value, dict) else _not_a_map(root)
    except yaml.reader.ReaderError as error:
        place = _place_after(Place(path), text[: error.position])
        problem = place.error("the file has a control character", "save it as plain UTF-8 text")
    except yaml.MarkedYAMLError as error:
        problem = _syntax_error(path, error)
    if problem is not None:  # raised outside the handlers: PyYAML's errors hold the text, secrets and all
        raise problem
    return root


def _not_a_map(root: Node) -> SpecError:
    return root.place.error("a definition should be a map", "start with version: 1")


def _syntax_error(path: str, error: yaml.MarkedYAMLError) -> SpecError:
    mark, opened = error.problem_mark, error.context_mark
    place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
    what = f"not valid YAML: {error.problem}"
    if error.context and opened:
        what += f", {error.context} from line {opened.line + 1}"
    return place.error(what, "indent with spaces" if "'\\t'" in (error.problem or "") else "")


class _Composer:
    """Builds the tree of one file from PyYAML's events, with every limit checked as they come."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0

    def document(self) -> Node:
        """Return the root of the only document."""
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise Place(self._path).error("the file is empty", "start with version: 1")
        root = self._node(next(self._events), None, 0)
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._place(event).error("a second document starts here", "keep one per file")
        return root

    def _node(self, event: Any, key: Place | None, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, key)
        if event.tag is not None:
            raise place.error("tags (!…) are not allowed", "write plain YAML")
        if depth > MAX_DEPTH:
            raise place.error(f"values are nested over {MAX_DEPTH} deep")
        before = self._nodes
        self._count(1, place)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(_scalar(event.value) if event.implicit[0] else event.value, place, key)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(list(self._items(depth)), place, key)
        else:
            node = Node(self._map(depth), place, key)
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._nodes - before
        return node

    def _alias(self, event: Any, key: Place | None) -> Node:
        place = self._place(event)
        if event.anchor not in self._anchors:
            raise place.error(f"alias {event.anchor!r} names no anchor that ends before it")
        node, size = self._anchors[event.anchor]
        self._count(size, place)
        return replace(node, key=key)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, None, depth + 1)

    def _map(self, depth: int) -> dict[str, Node]:
        values: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                raise place.error("a key should be plain text")
            key = event.value
            if key == "<<":
                raise place.error("YAML 1.2 has no merge key <<", "use include, or repeat the values")
            if key in values:
                raise place.error(f"duplicate key {key!r}, first given in line {values[key].head.line}")
            values[key] = self._node(next(self._events), place, depth + 1)
        return values

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise place.error(f"the file has over {MAX_NODES:,} values, repeated aliases included")

    def _place(self, event: Any) -> Place:
        return Place(self._path, event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(text: str) -> Scalar:
    """Read an unquoted scalar by the core schema of YAML 1.2 (hexadecimal and octal left out)."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if re.fullmatch(r"[-+]?[0-9]{1,99}", text):  # longer ones only overflow, as floats do
        return int(text)
    if re.fullmatch(NUMBER, text):
        return float(text)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text
