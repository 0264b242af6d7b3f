"""The latencies of the last calls of a model, and their quantiles."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

MEMORY = 200


class Latencies:
    """The last `MEMORY` latencies in seconds."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, seconds: float) -> None:
        """Take the next one; the oldest is forgotten when there are more than `MEMORY`."""
        if len(self._recent) == MEMORY:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, share: float) -> float:
        """Return the least latency that `share` of the calls did not pass, infinity when there were none."""
        if not self._sorted:
            return math.inf
        return self._sorted[min(len(self._sorted) - 1, max(0, math.ceil(share * len(self._sorted)) - 1))]
