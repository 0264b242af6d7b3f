"""A provider with weather, in virtual time: latencies, outages, limits, and a bill of its own.

What a provider does to its callers, as a function of the clock and of how many are being served; what it bills is
logged as it is made, so that the ledger can be held against it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from agentkit.backends.base import whole
from agentkit.costs import Cost
from agentkit.errors import BackendTimeout, ContentRefused, ContextOverflow, RateLimited
from agentkit.messages import assistant
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Usage

REPLY = "The order has shipped and arrives on Monday, as the carrier said this morning."
REPLY_TOKENS = 40
SHORT_TIMEOUT = 10.0
"""Seconds after which a caller gives up a call in an outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How an endpoint fares: seconds a call takes (drawn by `latency`), and what goes wrong when.

    In an outage (`outages`, from and to in seconds) calls hang until the caller gives up. Above `places` calls at
    once, or `per_minute` calls in the last minute, a call is turned away with 429, without a word on when to come
    back. Prompts with a word of `refused` are refused.
    """

    latency: Callable[[random.Random], float] = lambda luck: luck.lognormvariate(0.0, 0.3)
    outages: Sequence[tuple[float, float]] = ()
    places: int | None = None
    per_minute: int | None = None
    refused: frozenset[str] = frozenset()


@dataclass(slots=True)
class Endpoint:
    """A backend under `weather`; it bills every call that was served, and those that hung in an outage."""

    card: ModelCard
    weather: Weather
    luck: random.Random
    billed: Cost = field(default_factory=Cost)
    calls: int = 0
    _serving: int = 0
    _recent: deque[float] = field(default_factory=deque)

    async def complete(self, request: Request) -> Completion:
        """Return the reply, or what the weather has instead."""
        self.calls += 1
        await anyio.sleep(0.2)  # the way there and back
        self._turn_away(request)
        usage = Usage(_words(request), output_tokens=min(REPLY_TOKENS, request.max_output_tokens))
        self._serving += 1
        try:
            self.billed += usage.cost(self.card.price)
            if any(start <= anyio.current_time() < end for start, end in self.weather.outages):
                await anyio.sleep(SHORT_TIMEOUT)
                raise BackendTimeout(self.card.name, "first_token", SHORT_TIMEOUT)
            await anyio.sleep(self.weather.latency(self.luck))
        finally:
            self._serving -= 1
        return Completion(assistant(REPLY), "stop", usage)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply as one piece."""
        yield whole(await self.complete(request))

    def bound(self, request: Request) -> Bound:
        """Return the exact input in words; raises nothing, as providers count for themselves."""
        return Bound.at_price(_words(request), self.card.price)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _turn_away(self, request: Request) -> None:
        """Raise what a provider says before it works, and bills nothing for."""
        words, name, weather = _words(request), self.card.name, self.weather
        if words > self.card.context_window:
            raise ContextOverflow(name, words, self.card.context_window)
        if weather.refused and weather.refused & set(request.messages[-1].text.split()):
            raise ContentRefused(name, "the content filter refused the prompt")
        if weather.places is not None and self._serving >= weather.places:
            raise RateLimited(name, "too many calls at once (HTTP 429)")
        if weather.per_minute is not None:
            now = anyio.current_time()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            if len(self._recent) >= weather.per_minute:
                raise RateLimited(name, "too many calls a minute (HTTP 429)")
            self._recent.append(now)


def _words(request: Request) -> int:
    return sum(len(message.text.split()) for message in request.messages)
