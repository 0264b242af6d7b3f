"""Several endpoints of one model, of which each call takes one.

Two modes, after Adaptive Orchestration (arXiv 2503.20074, in its published code): in *cost mode* calls go to the
cheapest endpoint, in *capacity mode* they are spread over all of them. A sign of saturation (a call failed, or
would have to wait) leads to capacity mode at once; after `quiet` seconds without one, cost mode is back. The paper
weighs endpoints by 1/price in cost mode; ours takes the cheapest outright, since saturation is seen as it happens
and not every five minutes. Nor does our capacity mode spread calls blindly: an endpoint that is known to take so
many calls at once, as it was declared or learnt from refusals, is filled before a dearer one is asked.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence, Set
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, Literal

import anyio

from agentkit.backends.base import Backend, bound_of
from agentkit.backends.guarded import Guarded
from agentkit.errors import ConfigError, UnboundedCost
from agentkit.types import Capabilities, Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Unbounded

Mode = Literal["adaptive", "cost", "capacity"]


class Pool:
    """One model behind several endpoints; `mode` fixes cost or capacity mode, `adaptive` switches between them.

    To routers it has one card: the least of what its endpoints can do, at the dearest of their prices. Each call
    is held and charged at the price of the endpoint that makes it.
    """

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Backend],
        *,
        mode: Mode = "adaptive",
        quiet: float = 30.0,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.endpoints = tuple(e if isinstance(e, Guarded) else Guarded(e) for e in endpoints)
        names = {endpoint.card.name for endpoint in self.endpoints}
        if not names or len(names) < len(self.endpoints):
            raise ConfigError(f"pool {name!r} needs one or more endpoints, each with its own name")
        self.card = _card(name, [endpoint.card for endpoint in self.endpoints])
        self._mode, self._quiet, self._clock = mode, quiet, clock
        self._saturated_at = -math.inf
        self._turn = 0

    @property
    def mode(self) -> Literal["cost", "capacity"]:
        """The mode now."""
        if self._mode == "adaptive":
            return "capacity" if self._clock() < self._saturated_at + self._quiet else "cost"
        return self._mode

    def choose(self, tokens: int, failed: Set[str] = frozenset()) -> Guarded:
        """Return the endpoint of a call of at most `tokens`; one that `failed` only if no other is left."""
        fresh = [e for e in self.endpoints if e.card.name not in failed] or list(self.endpoints)
        least = min(map(_price, fresh))
        cheapest = [e for e in fresh if _price(e) == least]
        if failed or all(e.gate.wait(tokens) > 0 for e in cheapest):
            self._saturated_at = self._clock()
        wanted = cheapest if self.mode == "cost" else fresh
        self._turn += 1
        turn = self._turn % len(wanted)
        in_turn = wanted[turn:] + wanted[:turn]  # so that equals take turns
        floor = min((_price(e) for e in wanted if not self._is_filled_first(e)), default=math.inf)
        return min(
            in_turn, key=lambda e: (e.gate.wait(tokens), min(_price(e), floor), e.gate.concurrency.in_flight)
        )

    def has_other(self, failed: Set[str]) -> bool:
        """Tell whether an endpoint is left besides those that `failed`."""
        return any(endpoint.has_other(failed) for endpoint in self.endpoints)

    def _is_filled_first(self, endpoint: Guarded) -> bool:
        """Whether it is known how many calls it takes, so that they are no risk; a fixed mode spreads them."""
        return self._mode == "adaptive" and endpoint.gate.concurrency.window < math.inf

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply of an endpoint."""
        return await self.choose(request.max_output_tokens).complete(request)

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply of an endpoint in pieces."""
        return self.choose(request.max_output_tokens).stream(request)

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return what no endpoint passes, in any resource."""
        bounds: list[Bound] = []
        for endpoint in self.endpoints:
            try:
                bounds.append(bound_of(endpoint, request))
            except UnboundedCost as error:
                return Unbounded(error.reason)
        most: dict[str, Any] = {}
        for field in fields(Bound):
            known = [value for bound in bounds if (value := getattr(bound, field.name)) is not None]
            most[field.name] = max(known, default=None)
        if not all(bound.priced for bound in bounds):
            most |= {"input_price": None, "output_price": None, "usd_stated": None}
        return Bound(**most)

    async def aclose(self) -> None:
        """Close every endpoint."""
        for endpoint in self.endpoints:
            await endpoint.aclose()


def _price(backend: Backend) -> Decimal | float:
    """Rank endpoints by what a token read and a token written cost; an unknown price may be anything."""
    price = backend.card.price
    return math.inf if price is None else price.input + price.output


def _card(name: str, cards: Sequence[ModelCard]) -> ModelCard:
    """Return the card of a pool: the least of every ability, and the price of the dearest endpoint."""
    first, prices = cards[0], [card.price for card in cards]
    known = [price for price in prices if price is not None]
    flags = {
        field.name: all(getattr(card.capabilities, field.name) for card in cards) for field in fields(Capabilities)
    }
    return replace(
        first,
        name=name,
        backend="pool",
        price=max(known, key=lambda p: p.input + p.output) if len(known) == len(prices) else None,
        context_window=min(card.context_window for card in cards),
        max_output_tokens=min(card.max_output_tokens for card in cards),
        capabilities=Capabilities(**flags),
        usd_per_call=None,  # what each endpoint states is in its own bound
    )
