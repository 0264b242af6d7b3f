"""How many calls of an endpoint are under way at once: additive increase, multiplicative decrease (AIMD).

    w ← w + 1/w                   after each clean call, while the window is in use: one more for a window of them
    w ← max(1, β·min(w, n))       when a call is turned away with n others under way, once for a window of calls
    w ← max(1, min(w, n))         for the other calls of that window that are turned away

Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance" (1989). Until a call is
turned away there is no window, and a call that was alone says nothing about how many are too many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Concurrency:
    """At most `most` calls at once, fewer after refusals; `backoff` is β."""

    most: float = math.inf
    backoff: float = 0.7
    in_flight: int = field(default=0, init=False)
    window: float = field(default=0.0, init=False)
    _generation: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.most >= 1 or not 0 < self.backoff < 1:
            raise ValueError(f"most is 1 or more and backoff between 0 and 1, not {self}")
        self.window = self.most

    @property
    def free(self) -> bool:
        """Whether one more call may leave."""
        return self.in_flight + 1 <= self.window

    def begin(self) -> int:
        """Note that a call leaves; returns the generation of the window, which `end` takes."""
        self.in_flight += 1
        return self._generation

    def end(self, generation: int, *, refused: bool | None) -> int | None:
        """Note that a call is over, None for no verdict; returns the new window if the refusal made it smaller."""
        under_way, self.in_flight = self.in_flight, self.in_flight - 1
        if refused and under_way > 1:
            self.window = max(1.0, min(self.window, self.in_flight))
            if generation == self._generation:  # the calls of a window that was too large are one sign, not many
                self._generation += 1
                self.window = max(1.0, self.backoff * self.window)
                return math.floor(self.window)
        if refused is False and self.window < math.inf and under_way >= self.window / 2:
            self.window = min(self.window + 1 / self.window, self.most)
        return None
