"""What a step does when calls fail, dawdle or do not fit: the agent's policies in one place."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from agentkit.backends.latency import Latencies
from agentkit.backends.retry import RetryPolicy

OnOverflow = Literal["refuse", "trim", "summarise"]
"""What is done with a conversation that is too long for every model; see `context.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second call of the same request, made when the first is slower than `quantile` of the calls before.

    `least_calls` must have been seen for that. It is made only where the budget has room for both and the endpoint
    takes it at once. The first to answer is kept, the other one cancelled; both are charged.
    """

    quantile: float = 0.95
    least_calls: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1 or self.least_calls < 1:
            raise ValueError(f"quantile is between 0 and 1, least_calls 1 or more, not {self}")

    def delay(self, latencies: Latencies) -> float | None:
        """Return the seconds after which the second call is made, None for never."""
        return latencies.quantile(self.quantile) if len(latencies) >= self.least_calls else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience:
    """How an agent deals with failures: retries, hedging (None for none), and conversations that are too long.

    `luck` draws a number in 0..1 for the jitter of pauses.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge: Hedge | None = None
    on_overflow: OnOverflow = "refuse"
    luck: Callable[[], float] = random.random

    @property
    def most_calls(self) -> int:
        """The most attempts that one call of a model may take."""
        return self.retry.attempts * (2 if self.hedge else 1)
