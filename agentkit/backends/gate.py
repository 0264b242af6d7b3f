"""The gate of an endpoint: what it can take now, learnt from every call of every run that goes through it.

Callers pass it before they hold anything in the ledger, so that waiting costs nothing but time: for a rate limit,
for a free place, for what the provider asked for with Retry-After, for a circuit to close again. Whoever came
first leaves first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident

import anyio

from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.latency import Latencies
from agentkit.backends.limits import RateLimits
from agentkit.backends.retry import is_transient
from agentkit.errors import BackendError, CircuitOpen, RateLimited

LONGEST_HOLD_OFF = 60.0
"""Seconds; a provider's wish for a longer pause is learnt anew by each call, since it may be nonsense."""

_POLL = 2.0  # only callers in other threads are not woken
_LEAST = 0.001  # a shorter sleep may not move the clock


@dataclass(frozen=True, slots=True)
class Passage:
    """A call on its way: the tokens it took from the rate limit, and what its end is counted against."""

    tokens: int
    generation: int
    probe: bool


class _Place:
    """A place in the queue; only callers of its own thread can wake whoever waits there."""

    def __init__(self) -> None:
        self._thread, self._event = get_ident(), anyio.Event()

    async def sleep(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()

    def wake(self) -> None:
        if self._thread == get_ident():
            self._event.set()


class Gate:
    """Breaker, rate limits, concurrency and latencies of one endpoint; `clock` is in seconds."""

    def __init__(
        self,
        model: str,
        *,
        limits: RateLimits | None = None,
        concurrency: Concurrency | None = None,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.model = model
        self.limits = limits or RateLimits()
        self.concurrency = concurrency or Concurrency()
        self.breaker = breaker or Breaker()
        self.first_tokens, self.totals = Latencies(), Latencies()
        self._clock = clock
        self._not_before = -math.inf
        self._queue: deque[_Place] = deque()

    def closed(self) -> float:
        """Return the seconds for which the provider or its failures let no call through, 0 for none."""
        return self._closed(self._clock())

    def wait(self, tokens: int) -> float:
        """Return the seconds until a call of at most `tokens` may leave, infinity until some other call ends."""
        return self._wait(tokens, self._clock())

    def enter_now(self, tokens: int) -> Passage | None:
        """Let a call leave if it need not wait at all, else return None."""
        now = self._clock()
        return None if self._queue or self._wait(tokens, now) > 0 else self._admit(tokens, now)

    async def enter(self, tokens: int, longest: float, *, alternatives: bool = False) -> Passage:
        """Wait until a call of at most `tokens` may leave.

        Raises CircuitOpen or RateLimited instead of waiting more than `longest` seconds for the provider, or past
        the deadline for anything. With `alternatives` to ask, an open circuit is not waited for at all.
        """
        if alternatives and (cool_down := self.breaker.wait(self._clock())) > 0:
            raise CircuitOpen(self.model, min(cool_down, self.breaker.cool_down))
        self._refuse_long_waits(tokens, longest)
        return self.enter_now(tokens) or await self._queued(tokens, longest)

    def leave(self, passage: Passage, error: BackendError | None, used: int | None = None) -> list[str]:
        """Note how a call ended, and the tokens it `used` if known; returns what changed, in sentences."""
        now, notes = self._clock(), []
        if used is not None:
            self.limits.correct(passage.tokens, used, now)
        turned_away = error is not None and error.kind in ("rate_limited", "overloaded")
        clean = False if error is None else None
        if (window := self.concurrency.end(passage.generation, refused=turned_away or clean)) is not None:
            notes.append(f"{self.model} turned a call away; at most {window} at once from now on")
        broken = error is not None and error.kind != "rate_limited" and is_transient(error)
        if cool_down := self.breaker.end(not broken, probe=passage.probe, now=now):
            notes.append(f"{self.model} failed too often; its circuit is open for {cool_down:.3g} s")
        if error is not None and error.retry_after is not None:
            self._not_before = max(self._not_before, now + min(error.retry_after, LONGEST_HOLD_OFF))
        self._wake()
        return notes

    def observe(self, seconds: float, first_token: float | None) -> None:
        """Note how long a call took, and its first token if it was streamed."""
        self.totals.add(seconds)
        if first_token is not None:
            self.first_tokens.add(first_token)

    def abandon(self, passage: Passage, used: int | None = None) -> None:
        """Note that a call ended without telling anything about the endpoint, such as by cancellation."""
        if used is not None:
            self.limits.correct(passage.tokens, used, self._clock())
        self.concurrency.end(passage.generation, refused=None)
        if passage.probe:
            self.breaker.abandon()
        self._wake()

    async def _queued(self, tokens: int, longest: float) -> Passage:
        start, place = self._clock(), _Place()
        self._queue.append(place)
        try:
            while True:
                now = self._clock()
                wait = self._wait(tokens, now) if self._queue[0] is place else math.inf
                if wait <= 0:
                    return self._admit(tokens, now)
                await place.sleep(min(max(wait, _LEAST), _POLL))
                self._refuse_long_waits(tokens, longest - (self._clock() - start))
        finally:
            self._queue.remove(place)
            self._wake()

    def _closed(self, now: float) -> float:
        return max(0.0, self._not_before - now, self.breaker.wait(now))

    def _wait(self, tokens: int, now: float) -> float:
        return max(self._closed(now), self.limits.wait(tokens, now)) if self.concurrency.free else math.inf

    def _admit(self, tokens: int, now: float) -> Passage:
        self.limits.take(tokens, now)
        return Passage(tokens, self.concurrency.begin(), self.breaker.begin(now))

    def _refuse_long_waits(self, tokens: int, longest: float) -> None:
        closed = self.closed()
        if closed == math.inf:  # the probe is under way: its end is near, but nobody knows when
            closed = 0.0 if longest > 0 else self.breaker.cool_down
        if closed > max(longest, 0):
            if self.breaker.wait(self._clock()) > 0:
                raise CircuitOpen(self.model, closed)
            detail = f"it asked to be left alone for another {closed:.3g} s; wait, or name a fallback"
            raise RateLimited(self.model, detail, retry_after=closed)
        wait = max(closed, self.limits.wait(tokens, self._clock()))
        left = anyio.current_effective_deadline() - anyio.current_time()
        if wait > max(left, 0):
            detail = f"its rate limit has room in {wait:.3g} s, after the deadline; raise seconds or the limit"
            raise RateLimited(self.model, detail, retry_after=wait)

    def _wake(self) -> None:
        """Tell the first in the queue to look again."""
        if self._queue:
            self._queue[0].wake()
