"""Search by words and by meaning together, for the need as a whole and for its parts.

Scores of the two kinds are put on one scale (mean 0, deviation 1 over the tools) and mixed; a tool's score is that
of the whole need plus `PARTS` times its best over the need's parts, so that a question that asks for several
things finds a tool for each. This is Advanced RAG-Tool Fusion (Toolshed, arXiv 2410.14594) without a language
model: documents of name, description and parameters, decomposition at the seams of the text, one ranking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentkit.budgets import Scope
from agentkit.tools.index.base import Scored, best
from agentkit.tools.index.lexical import LexicalIndex
from agentkit.tools.index.needs import parts
from agentkit.tools.index.semantic import SemanticIndex
from agentkit.tools.tool import Tool

if TYPE_CHECKING:
    from agentkit.backends.embeddings import Embedder

MEANING = 0.6
"""Weight of meaning; the words have the rest."""
PARTS = 0.5
"""Weight of the best part beside the whole need."""


class FusedIndex:
    """The `ToolIndex` to use where the `embed` extra is installed, or any `Embedder` is at hand.

    Without `decompose` the need is searched for as a whole only.
    """

    def __init__(self, tools: Sequence[Tool], embedder: Embedder, *, decompose: bool = True) -> None:
        self.tools, self._decompose = tuple(tools), decompose
        self._lexical, self._semantic = LexicalIndex(self.tools), SemanticIndex(self.tools, embedder)

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return the `k` tools that fit `need` or a part of it best."""
        if not self.tools:
            return []
        needs = (need, *parts(need)) if self._decompose else (need,)
        meanings = await self._semantic.scores(needs, scope)
        whole, *pieces = (
            _mixed(self._lexical.scores(text), row.tolist()) for text, row in zip(needs, meanings, strict=True)
        )
        if pieces:
            whole = [a + PARTS * max(b) for a, b in zip(whole, zip(*pieces, strict=True), strict=True)]
        return best(self.tools, whole, k)


def _mixed(words: Sequence[float], meanings: Sequence[float]) -> list[float]:
    pairs = zip(_standard(words), _standard(meanings), strict=True)
    return [(1 - MEANING) * word + MEANING * meaning for word, meaning in pairs]


def _standard(scores: Sequence[float]) -> list[float]:
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / deviation for score in scores] if deviation else [0.0] * len(scores)
