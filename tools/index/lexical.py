"""Search by words: BM25 over names, descriptions and parameters.

    score(q, d) = Σ_{w ∈ q} idf(w) · f(w, d) (k₁ + 1) / (f(w, d) + k₁ (1 − b + b |d| / mean |d|))
    idf(w) = ln(1 + (n − n_w + ½) / (n_w + ½))

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; k₁ = 1.2, b = 0.75.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from agentkit.budgets import Scope
from agentkit.tools.index.base import Scored, best
from agentkit.tools.index.document import document
from agentkit.tools.index.words import words
from agentkit.tools.tool import Tool

K1, B = 1.2, 0.75


class LexicalIndex:
    """A `ToolIndex` that needs no model and no extra."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = tuple(tools)
        bags = [Counter(words(document(tool.spec).whole)) for tool in self.tools]
        sizes = [bag.total() for bag in bags]
        mean = sum(sizes) / len(sizes) if any(sizes) else 1.0
        counts: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, bag in enumerate(bags):
            for word, count in bag.items():
                counts[word].append((place, count))
        self._weights = {
            word: [(place, _idf(len(bags), len(found)) * _share(n, sizes[place] / mean)) for place, n in found]
            for word, found in counts.items()
        }

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return the `k` tools whose words fit `need` best; costs nothing."""
        return best(self.tools, self.scores(need), k)

    def scores(self, need: str) -> list[float]:
        """Return the score of every tool, in their order; 0 where no word is shared."""
        scores = [0.0] * len(self.tools)
        for word in dict.fromkeys(words(need)):
            for place, weight in self._weights.get(word, ()):
                scores[place] += weight
        return scores


def _idf(total: int, found: int) -> float:
    return math.log(1 + (total - found + 0.5) / (found + 0.5))


def _share(count: int, size: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * size))
