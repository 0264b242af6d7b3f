"""The files of a definition made one tree: includes merged, `${env:NAME}` filled in, places kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from agentkit.redaction import hide_named
from agentkit.yaml_reader import Keys, Node, Place, dotted, parse_yaml, read_text

MAX_INCLUDE_DEPTH = 10
MAX_FILES = 100
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_ENV = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)


def read_tree(path: Path, env: Mapping[str, str]) -> Node:
    """Read the definition at `path` with its includes and variables; raises SpecError at the first problem."""
    return _fill(_Includes(env).load(path, Place(str(path)), ()), env, ())


# ---------------------------------------------------------------- variables
def _fill(node: Node, env: Mapping[str, str], keys: Keys) -> Node:
    value = node.value
    if isinstance(value, dict):
        return replace(node, value={key: _fill(child, env, (*keys, key)) for key, child in value.items()})
    if isinstance(value, list):
        return replace(node, value=[_fill(child, env, (*keys, i)) for i, child in enumerate(value)])
    if isinstance(value, str) and "${" in value:
        return _fill_text(node, value, env, keys)
    if value is None:  # an empty value would read as "no limit" in a budget
        raise node.head.error(f"{dotted(keys)} has no value", "give it one, or remove the key")
    return node


def _fill_text(node: Node, text: str, env: Mapping[str, str], keys: Keys) -> Node:
    def fill(match: re.Match[str]) -> str:
        if match["inside"] is None:
            return "${"
        variable = _ENV.fullmatch(match["inside"])
        if variable is None or not match["end"]:
            hint = "write ${env:NAME} or ${env:NAME:-default}, and $${ for a plain ${"
            raise node.place.error(f"{dotted(keys)} has a ${{…}} that cannot be read", hint)
        name, default = variable["name"], variable["default"]
        hide_named(name, env.get(name, ""))
        if default is not None:
            return env.get(name) or default  # as in a shell, empty counts as not set
        if name not in env:
            hint = f"export it, or write ${{env:{name}:-default}}"
            raise node.place.error(f"environment variable {name!r} is not set, {dotted(keys)} needs it", hint)
        return env[name]

    return replace(node, value=_VARIABLE.sub(fill, text), from_env=True)


# ---------------------------------------------------------------- includes
class _Includes:
    """Reads a file and, below it, what it includes."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._files = 0

    def load(self, path: Path, asked: Place, trail: tuple[Path, ...]) -> Node:
        """Return the file at `path`, merged over its includes; `trail` is the files on the way to it."""
        real = Path(os.path.realpath(path))
        if real in trail:
            circle = " -> ".join(file.name for file in (*trail[trail.index(real) :], real))
            raise asked.error(f"files include each other in a circle: {circle}")
        self._files += 1
        if len(trail) > MAX_INCLUDE_DEPTH or self._files > MAX_FILES:
            limits = f"at most {MAX_INCLUDE_DEPTH} deep, {MAX_FILES} files"
            raise asked.error("too many includes", limits)
        root = parse_yaml(str(path), read_text(path, asked))
        merged: Node | None = None
        for wanted in self._included(root):
            child = self.load(path.parent / str(wanted.value), wanted.place, (*trail, real))
            _check_version(child, root)
            merged = child if merged is None else _merge(merged, child)
        return root if merged is None else _merge(merged, root)

    def _included(self, root: Node) -> Iterator[Node]:
        found, include = root.find(("include",))
        if not found:
            return
        if not isinstance(include.value, list):
            raise include.head.error("include should be a list of files")
        for i, item in enumerate(include.value):
            wanted = _fill(item, self._env, ("include", i))
            if not isinstance(wanted.value, str):
                raise item.place.error(f"include[{i}] should be the name of a file")
            yield wanted


def _check_version(child: Node, root: Node) -> None:
    # the merge would hide it: the including file's version wins
    (below, version), (above, own) = child.find(("version",)), root.find(("version",))
    if below and above and version.value != own.value:
        raise version.place.error("version is not that of the including file")


def _merge(low: Node, high: Node) -> Node:
    """Lay `high` over `low`: maps key by key, all else as a whole."""
    if not (isinstance(low.value, dict) and isinstance(high.value, dict)):
        return high
    both = {key: _merge(low.value[key], high.value[key]) for key in low.value if key in high.value}
    return replace(high, value={**low.value, **high.value, **both})
