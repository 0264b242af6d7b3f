"""Whether a failed call is made again, and after which pause: one pure rule for every model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentkit.errors import BackendError, BackendTimeout, CircuitOpen, FailureKind

RETRIED: frozenset[FailureKind] = frozenset({"rate_limited", "overloaded", "down", "timeout", "unreadable"})
"""Kinds of failure that may pass by themselves; what is refused as it stands is refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """At most `attempts` calls of a model in a turn, with pauses of `first_pause`·2ⁿ up to `longest_pause`.

    Each pause is shortened at random by up to `jitter` of itself, so that callers who failed together do not come
    back together. What a provider asks for (Retry-After) is waited out in full, unless it is above `longest_wait`,
    or above `patience` where another model could be asked instead: then the caller gives up on this model at once.
    So it does where the circuit is open and another model could be asked. Times in seconds.
    """

    attempts: int = 3
    first_pause: float = 0.5
    longest_pause: float = 8.0
    jitter: float = 0.25
    longest_wait: float = 60.0
    patience: float = 5.0

    def __post_init__(self) -> None:
        times = (self.first_pause, self.longest_pause, self.longest_wait, self.patience)
        if self.attempts < 1 or not 0 <= self.jitter <= 1 or not all(0 <= t < math.inf for t in times):
            raise ValueError(f"attempts is 1 or more, jitter 0 to 1, times finite and not negative, not {self}")

    @classmethod
    def never(cls) -> RetryPolicy:
        """Return the policy of a single attempt that waits for nothing."""
        return cls(attempts=1, longest_wait=0, patience=0)

    def pause(
        self, error: BackendError, failures: int, *, left: float, luck: float, alternatives: bool = False
    ) -> float | None:
        """Return the seconds to wait before the next call after `failures` of them, None to give up.

        `left` is the time to the deadline, `luck` a number drawn from 0..1, `alternatives` says that another model
        could be asked.
        """
        if failures >= self.attempts or not is_transient(error):
            return None
        if alternatives and isinstance(error, CircuitOpen):
            return None
        pause = min(self.first_pause * 2.0 ** min(failures - 1, 64), self.longest_pause) * (1 - self.jitter * luck)
        if error.retry_after is not None:
            if error.retry_after > self.longest(alternatives):
                return None
            pause = max(pause, error.retry_after)
        return pause if pause < left else None

    def longest(self, alternatives: bool) -> float:
        """Return the longest that a provider's wish is waited for."""
        return min(self.patience, self.longest_wait) if alternatives else self.longest_wait


def is_transient(error: BackendError) -> bool:
    """Tell whether the same call may succeed later; one that took all its time would take it again."""
    if isinstance(error, BackendTimeout) and error.phase == "total":
        return False
    return error.kind in RETRIED
