"""Search as an agent uses it: out of many tools, those that a task may need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from agentkit.budgets import Scope
from agentkit.errors import ConfigError
from agentkit.tools.index.base import ToolIndex
from agentkit.tools.index.fused import FusedIndex
from agentkit.tools.index.lexical import LexicalIndex
from agentkit.tools.tool import Tool

if TYPE_CHECKING:
    from agentkit.backends.embeddings import Embedder

By = Literal["words", "both"]

TOP = 16


class ToolSearch:
    """Offers a model the `top` tools that fit the task best; with no more tools than that, all of them.

    `by` words needs nothing; `both` adds meaning, by `embedder`, else by the MiniLM of the `embed` extra.
    """

    def __init__(self, top: int = TOP, by: By = "words", *, embedder: Embedder | None = None) -> None:
        if top < 1:
            raise ConfigError(f"a tool search finds at least one tool: top must be 1 or more, not {top}")
        self.top, self.by = top, by
        self._embedder = embedder
        self._indexed: tuple[tuple[Tool, ...], ToolIndex] | None = None

    def by_words(self) -> ToolSearch:
        """Return the same search by words alone, which needs no embedder."""
        return ToolSearch(self.top)

    async def shortlist(self, tools: Sequence[Tool], need: str, scope: Scope) -> tuple[Tool, ...]:
        """Return the tools to offer for `need`, in the order they have; what the search costs `scope` pays."""
        offered = tuple(tools)
        if len(offered) <= self.top:
            return offered
        found = {hit.item.name for hit in await self._index(offered).search(need, self.top, scope)}
        return tuple(tool for tool in offered if tool.name in found)

    def _index(self, tools: tuple[Tool, ...]) -> ToolIndex:
        if self._indexed is None or self._indexed[0] != tools:
            self._indexed = tools, self._built(tools)
        return self._indexed[1]

    def _built(self, tools: tuple[Tool, ...]) -> ToolIndex:
        if self.by == "words":
            return LexicalIndex(tools)
        if self._embedder is None:
            from agentkit.backends.minilm import MiniLM  # the `embed` extra

            self._embedder = MiniLM()
        return FusedIndex(tools, self._embedder)
