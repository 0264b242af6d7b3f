"""Tools by name, and the protocol of whatever else can supply tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Protocol

from agentkit.errors import ConfigError, ToolNotFound
from agentkit.tools.tool import Tool


class Toolset(Protocol):
    """Something that supplies tools, possibly after asking a server for them."""

    async def tools(self) -> Sequence[Tool]:
        """Return the tools there are now."""
        ...


def namespace(name: str, tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """Return `tools` with `name` and an underscore before their names, so that two sets may stand side by side."""
    return tuple(replace(tool, spec=replace(tool.spec, name=f"{name}_{tool.name}")) for tool in tools)


class Registry:
    """Tools by name, in the order they were added; a `Toolset`."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self.add(tool)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def add(self, tool: Tool) -> None:
        """Add `tool`; ConfigError if another one has its name."""
        if tool.name in self._tools:
            raise ConfigError(f"there are two tools named {tool.name!r}; rename one with @tool(name=…)")
        self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """Return the tool called `name`; ToolNotFound with close matches if there is none."""
        try:
            return self._tools[name]
        except KeyError:
            within = [known for known in self._tools if known.endswith(f"_{name}")]  # of a namespace
            raise ToolNotFound(name, within or get_close_matches(name, self._tools)) from None

    async def tools(self) -> Sequence[Tool]:
        """Return all tools."""
        return tuple(self)
