"""CRAFT's retrieval: three views of a tool vote (arXiv 2309.17428).

The nearest tools by name, by description and by everything they say are three lists of 5, 10 and 10; tools come in
the order of their votes. The paper has a language model write the name and the description to look for; here all
three views are asked with the need itself. Beside the one vector that carries the three views it finds less
(`agentkit bench tool-retrieval`), so it is no part of the SDK.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.backends.embeddings import Embedder
from agentkit.budgets import Scope
from agentkit.tools import Tool
from agentkit.tools.index import Scored
from agentkit.tools.index.document import document
from agentkit.vectors import VectorIndex, open_index

NAMES, SUMMARIES, WHOLES = 5, 10, 10


class ThreeViewVotes:
    """A `ToolIndex` of votes."""

    def __init__(self, tools: Sequence[Tool], embedder: Embedder) -> None:
        self.tools, self._embedder = tuple(tools), embedder
        self._views: list[tuple[VectorIndex, int]] = []

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return up to `k` tools by votes; ties by the sum of their scores."""
        if not self._views:
            documents = [document(tool.spec) for tool in self.tools]
            for texts, depth in (
                ([one.name for one in documents], NAMES),
                ([one.summary for one in documents], SUMMARIES),
                ([one.whole for one in documents], WHOLES),
            ):
                self._views.append((open_index(await self._embedder.embed(texts, scope)), depth))
        query = await self._embedder.embed([need], scope)
        votes: dict[int, list[float]] = {}
        for view, depth in self._views:
            scores, places = view.search(query, depth)
            for score, place in zip(scores[0].tolist(), places[0].tolist(), strict=True):
                votes.setdefault(place, []).append(score)
        ranked = sorted(votes.items(), key=lambda item: (-len(item[1]), -sum(item[1])))
        return [Scored(self.tools[place], len(found) + sum(found) / 10) for place, found in ranked[:k]]
