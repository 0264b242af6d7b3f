"""Forecasts an amount from earlier ones, with a known chance to be wrong.

Of n earlier scores, the ⌈(1 − α)(n + 1)⌉-th smallest is passed by the next one with a probability of at most α, if
their order tells nothing (conformal prediction, V. Vovk et al., 2005); with fewer than 1/α − 1 scores there is no
such rank and no bound. Since work drifts, the level moves after each score by what was missed (I. Gibbs and
E. Candès, arXiv 2106.00170), which brings the share of misses to α in the long run, for any sequence:

    α_(t+1) = α_t + γ · (α − miss_t)
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

MISS = 0.1
"""The share of amounts above p90, and of those below p10."""
ENOUGH = math.ceil(1 / MISS) - 1
"""Amounts from which p10 and p90 can be told."""
LEARNING_RATE = 0.02
"""γ for a share of `MISS`; the levels follow a change within some fifty scores. For a smaller share it is smaller
in proportion, since one miss must not lift the bound above every score."""
MEMORY = 500
"""Scores that count; older ones are forgotten."""


class UpperBound:
    """A bound that a share `miss` of the scores passes."""

    def __init__(self, miss: float) -> None:
        self._miss = self._level = miss
        self._rate = LEARNING_RATE * min(1.0, miss / MISS)
        self._by_age: deque[float] = deque()
        self._by_size: list[float] = []

    @property
    def value(self) -> float:
        """The bound of the next score, infinite when there is none."""
        count = len(self._by_size)
        rank = max(1, math.ceil((1 - self._level) * (count + 1)))
        return self._by_size[rank - 1] if rank <= count else math.inf

    def observe(self, score: float) -> None:
        """Take the next score; an infinite one is above every bound."""
        if len(self._by_size) + 1 >= 1 / self._miss:  # before that no level has a bound, so none is wrong
            self._level += self._rate * (self._miss - (score > self.value))
        insort(self._by_size, score)
        self._by_age.append(score)
        if len(self._by_age) > MEMORY:
            del self._by_size[bisect_left(self._by_size, self._by_age.popleft())]


class Forecast:
    """The range of an amount: p10, p50 and p90."""

    def __init__(self) -> None:
        self._low, self._mid, self._high = UpperBound(MISS), UpperBound(0.5), UpperBound(MISS)
        self._least = math.inf

    def observe(self, amount: float, *, cut_short: bool) -> None:
        """Take what was spent; when a limit has `cut_short` the work, nobody knows how much it would have been."""
        self._least = min(self._least, amount)
        self._low.observe(-amount)
        wanted = math.inf if cut_short else amount
        self._mid.observe(wanted)
        self._high.observe(wanted)

    def range(self, least: float, most: float) -> tuple[float, float, float]:
        """Return p10, p50 and p90 within `least`, or less if less was ever seen, and `most`."""
        low = max(-self._low.value, min(least, self._least))
        p10, p50, p90 = sorted(min(most, amount) for amount in (low, self._mid.value, self._high.value))
        return p10, p50, p90
