"""Search by meaning: the cosine of a need's embedding with the tool's.

A tool has one vector: the weighted sum of the embeddings of its three views, whole, summary and name. That is
CRAFT's idea (arXiv 2309.17428) of asking several views of a tool, at the price of one: the inner product is
linear, so the sum of the views' scores is the score of their sum. Its votes lose what lies between the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from agentkit.budgets import Scope
from agentkit.tools.index.base import Scored, best
from agentkit.tools.index.document import document
from agentkit.tools.tool import Tool
from agentkit.vectors import Kind, VectorIndex, open_index

if TYPE_CHECKING:
    from agentkit.backends.embeddings import Embedder, Vectors

WHOLE, SUMMARY, NAME = 0.4, 0.4, 0.2


class SemanticIndex:
    """A `ToolIndex` over the embeddings of an `Embedder`; tools are embedded by the first search, which pays."""

    def __init__(self, tools: Sequence[Tool], embedder: Embedder, *, kind: Kind | None = None) -> None:
        self.tools = tuple(tools)
        self._embedder, self._kind = embedder, kind
        self._index: VectorIndex | None = None
        self._building = anyio.Lock()

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return the `k` tools whose meaning is nearest to that of `need`."""
        if not self.tools:
            return []
        scores = await self.scores([need], scope)
        return best(self.tools, scores[0].tolist(), k)

    async def scores(self, needs: Sequence[str], scope: Scope) -> Vectors:
        """Return the score of every tool for every need, (needs, tools)."""
        index = await self._built(scope)
        return index.scores(await self._embedder.embed(needs, scope))

    async def _built(self, scope: Scope) -> VectorIndex:
        async with self._building:  # two searches at once embed the tools once
            if self._index is None:
                documents = [document(tool.spec) for tool in self.tools]
                texts = [text for one in documents for text in (one.whole, one.summary, one.name)]
                views = await self._embedder.embed(texts, scope)
                vectors = WHOLE * views[0::3] + SUMMARY * views[1::3] + NAME * views[2::3]
                self._index = open_index(vectors, self._kind)
            return self._index
