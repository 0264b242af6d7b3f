"""How long replies are: an output cap that few of them pass, learnt from earlier ones.

The bound is that of `forecast.UpperBound`: the ⌈(1 − α)(n + 1)⌉-th smallest of n earlier lengths, with α moved
after each by what was missed. A reply that was cut counts as longer than any cap, since nobody knows how long it
would have been.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from agentkit.budgets.forecast import MEMORY, UpperBound

MARGIN = 1.1
"""A cap is this much above its bound: a token of room costs less than a piece that sends its prompt again."""
HIGHEST = math.floor(1_000 * MEMORY / (MEMORY + 1)) / 1_000
"""The highest quantile that as many scores as are remembered have a rank for."""


class OutputLengths:
    """The lengths of replies in tokens by kind, and what the next one will hardly pass.

    `quantile` is the share of replies that the likely cap lets through, `HIGHEST` at most; at 1, or None, nothing
    is predicted.
    """

    def __init__(self, quantile: float | None = None) -> None:
        if quantile is not None and not 0 < quantile <= 1:
            raise ValueError(f"a quantile lies above 0 and not above 1, such as 0.95, not at {quantile!r}")
        if quantile is not None and HIGHEST < quantile < 1:
            raise ValueError(
                f"the last {MEMORY} replies tell no quantile above {HIGHEST}; take that, or 1 for none"
            )
        self.quantile = None if quantile == 1 else quantile
        self._kinds: dict[Hashable, _Kind] = {}

    def likely(self, kind: Hashable, wanted: int) -> int:
        """Return the cap that few replies of this kind pass, `wanted` at most; `wanted` while little is known."""
        bound = self._kinds[kind].high.value if kind in self._kinds else math.inf
        return wanted if math.isinf(bound) else min(wanted, math.ceil(MARGIN * bound))

    def typical(self, kind: Hashable, wanted: int) -> int:
        """Return the length that half of the replies pass, `wanted` at most; 0 while nothing is known."""
        if kind not in self._kinds:
            return 0
        median = self._kinds[kind].middle.value
        return wanted if math.isinf(median) else min(wanted, math.ceil(median))

    def observe(self, kind: Hashable, tokens: int, *, cut: bool) -> None:
        """Take the length of a whole reply, all its pieces together; one that was `cut` had more to say."""
        if self.quantile is None:
            return
        if kind not in self._kinds:
            self._kinds[kind] = _Kind(UpperBound(1 - self.quantile))
        length = math.inf if cut else tokens
        self._kinds[kind].high.observe(length)
        self._kinds[kind].middle.observe(length)


@dataclass(frozen=True, slots=True)
class _Kind:
    high: UpperBound
    middle: UpperBound = field(default_factory=lambda: UpperBound(0.5))
