"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then tried with a single call.

closed → open     when `share` of at least `least_calls` calls in the last `window` seconds failed
open → half-open  after `cool_down` seconds, doubled with each probe that failed, at most `longest_cool_down`
half-open         one call, the probe: closed if it succeeds, open again if not
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(slots=True, kw_only=True)
class Breaker:
    """The health of one endpoint; `now` is the caller's clock, in seconds, everywhere."""

    share: float = 0.5
    least_calls: int = 5
    window: float = 30.0
    cool_down: float = 5.0
    longest_cool_down: float = 60.0
    _calls: deque[tuple[float, bool]] = field(default_factory=deque, init=False, repr=False)
    _failed: int = field(default=0, init=False, repr=False)
    _opened: int = field(default=0, init=False, repr=False)
    _until: float = field(default=-math.inf, init=False, repr=False)
    _probing: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        times = (self.window, self.cool_down, self.longest_cool_down)
        if not 0 < self.share <= 1 or self.least_calls < 1 or not all(0 < t < math.inf for t in times):
            raise ValueError(f"share is above 0 and at most 1, least_calls 1 or more, times above 0, not {self}")

    def state(self, now: float) -> State:
        """Return the state at `now`."""
        if not self._opened:
            return "closed"
        return "open" if now < self._until else "half_open"

    def wait(self, now: float) -> float:
        """Return the seconds until a call may be made: 0 for now, infinity while the probe is under way."""
        match self.state(now):
            case "closed":
                return 0.0
            case "open":
                return self._until - now
            case "half_open":
                return math.inf if self._probing else 0.0

    def begin(self, now: float) -> bool:
        """Note that a call leaves; returns whether it is the probe, which `end` or `abandon` must hear of."""
        self._probing = self.state(now) == "half_open"
        return self._probing

    def end(self, ok: bool, *, probe: bool, now: float) -> float:
        """Note how a call ended; returns the seconds of the cool-down if it opened the circuit, else 0."""
        if probe:
            self._probing = False
            return self._close() if ok else self._open(now)
        if self._opened:  # a call that left before the circuit opened
            return 0.0
        self._calls.append((now, ok))
        self._failed += not ok
        while self._calls[0][0] < now - self.window:
            self._failed -= not self._calls.popleft()[1]
        count = len(self._calls)
        return self._open(now) if count >= self.least_calls and self._failed >= self.share * count else 0.0

    def abandon(self) -> None:
        """Note that the probe ended without a verdict, such as by cancellation: the next call is one."""
        self._probing = False

    def _open(self, now: float) -> float:
        cool_down = min(self.cool_down * 2.0**self._opened, self.longest_cool_down)
        self._opened = min(self._opened + 1, 32)
        self._until = now + cool_down
        self._forget()
        return cool_down

    def _close(self) -> float:
        self._opened = 0
        self._forget()
        return 0.0

    def _forget(self) -> None:
        self._calls.clear()
        self._failed = 0
