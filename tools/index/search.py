"""Search as an agent uses it: out of many tools, those that a task may need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentkit.budgets import Scope
from agentkit.errors import BackendError, BudgetError, ConfigError
from agentkit.tools.index.base import ToolIndex
from agentkit.tools.index.dependencies import DependencyIndex
from agentkit.tools.index.fused import FusedIndex
from agentkit.tools.index.lexical import LexicalIndex
from agentkit.tools.registry import Registry
from agentkit.tools.tool import Tool
from agentkit.trace import Failed

if TYPE_CHECKING:
    from agentkit.backends.base import Backend
    from agentkit.backends.embeddings import Embedder
    from agentkit.tools.index.assistant import Assistant, Emit

By = Literal["words", "both"]

TOP = 16
SHARE = 0.25
"""Part of what is free that the calls of a search may take: the rest is for the work."""
_SEARCH = "tool_search"
_SEEN = 2
"""Times `top`: what a model looks at to rank it."""


class ToolSearch:
    """Offers a model the `top` tools that fit the task best; with no more tools than that, all of them.

    `by` words needs nothing; `both` adds meaning, by `embedder`, else by the MiniLM of the `embed` extra.
    `always` are tools that are offered whatever the task, such as a calculator, which no task names; they count
    among the `top`. With `dependencies` a tool brings those along that produce what it has to be given.

    A `model` helps: it says of each tool what it is asked for (once; kept in the file `cache` over runs), takes
    the task apart, and ranks what was found. Its calls take a quarter of what is free at most. What does not fit,
    or fails, is left out, and the search goes on without it.
    """

    def __init__(
        self,
        top: int = TOP,
        by: By = "words",
        *,
        embedder: Embedder | None = None,
        always: Iterable[str] = (),
        dependencies: bool = False,
        model: Backend | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.top, self.by, self.always, self.dependencies = top, by, tuple(dict.fromkeys(always)), dependencies
        if top < 1 or len(self.always) >= top:
            raise ConfigError(
                "a tool search finds at least one tool besides those that are always offered: top must be above "
                f"{len(self.always)}, not {top}"
            )
        self._embedder = embedder
        self._indexed: tuple[tuple[Tool, ...], ToolIndex] | None = None
        self._model, self._cache = model, None if cache is None else Path(cache)
        self._assistant: Assistant | None = None

    @property
    def spends(self) -> bool:
        """Whether a search may cost something."""
        return self._model is not None or self.by == "both"

    async def shortlist(
        self, tools: Sequence[Tool], need: str, scope: Scope, emit: Emit = lambda event: None
    ) -> tuple[Tool, ...]:
        """Return the tools to offer for `need`, in the order they have; what the search costs `scope` pays.

        Raises ToolNotFound for a name in `always` that no tool has.
        """
        offered = tuple(tools)
        known = Registry(offered)
        kept = {known.get(name).name: None for name in self.always}
        if len(offered) <= self.top:
            return offered
        async with scope.share(_part(scope)) as share:
            for tool in await self._ranked(offered, need, share, emit):
                if len(kept) < self.top:
                    kept[tool.name] = None
        return tuple(tool for tool in offered if tool.name in kept)

    async def _ranked(self, tools: tuple[Tool, ...], need: str, scope: Scope, emit: Emit) -> list[Tool]:
        """Return tools, best first, at least `top` of them."""
        assistant, documents = self._helper(), tools
        if assistant is None:
            return await self._found(tools, documents, need, self.top, scope, emit)
        try:
            await assistant.describe(tools, scope, emit)
        except (BackendError, BudgetError) as error:
            emit(Failed(_SEARCH, f"{error}; searching with what is known of the tools"))
        documents = tuple(map(assistant.document, tools))
        try:
            need = "\n".join((need, *await assistant.needs(need, scope, emit)))  # line by line, as parts are
        except (BackendError, BudgetError) as error:
            emit(Failed(_SEARCH, f"{error}; searching for the task as it is"))
        found = await self._found(tools, documents, need, _SEEN * self.top, scope, emit)
        try:
            first, missing = await assistant.ranking(need, found, scope, emit)
        except (BackendError, BudgetError) as error:
            emit(Failed(_SEARCH, f"{error}; the search ranks by itself"))
            return found
        if missing:
            extra = await self._found(tools, documents, missing, self.top, scope, emit)
            found = [*extra[: max(1, self.top // 4)], *found]
        return list(dict.fromkeys((*first, *found)))

    async def _found(
        self, tools: tuple[Tool, ...], documents: tuple[Tool, ...], need: str, k: int, scope: Scope, emit: Emit
    ) -> list[Tool]:
        by_name = {tool.name: tool for tool in tools}
        try:
            hits = await self._index(documents).search(need, k, scope)
        except (BackendError, BudgetError) as error:  # of the embedder
            emit(Failed(_SEARCH, f"{error}; searching by words"))
            hits = await self._finished(documents, LexicalIndex(documents)).search(need, k, scope)
        return [by_name[hit.item.name] for hit in hits]

    def _index(self, tools: tuple[Tool, ...]) -> ToolIndex:
        if self._indexed is None or self._indexed[0] != tools:
            self._indexed = tools, self._finished(tools, self._built(tools))
        return self._indexed[1]

    def _built(self, tools: tuple[Tool, ...]) -> ToolIndex:
        if self.by == "words":
            return LexicalIndex(tools)
        if self._embedder is None:
            from agentkit.backends.minilm import MiniLM  # the `embed` extra

            self._embedder = MiniLM()
        return FusedIndex(tools, self._embedder)

    def _finished(self, tools: tuple[Tool, ...], index: ToolIndex) -> ToolIndex:
        return DependencyIndex(tools, index) if self.dependencies else index

    def _helper(self) -> Assistant | None:
        if self._assistant is None and self._model is not None:
            from agentkit.tools.index.assistant import Assistant

            self._assistant = Assistant(self._model, self._cache)
        return self._assistant


def _part(scope: Scope) -> dict[str, int]:
    available = scope.view().available
    return {name: int(room * SHARE) for name, room in available.items() if not name.startswith("tool_calls")}
