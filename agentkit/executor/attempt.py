"""One model call under the ledger: bound, reserve, dispatch, call, settle.

The hold is the bound of the output cap that is really sent, so the call cannot cost more than is held. When the
wanted cap does not fit, a smaller one is sent, down to `LEAST_OUTPUT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio.lowlevel

from agentkit.backends.base import Assembler, Backend
from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import BackendError, BudgetExceeded, Saturated, UnboundedCost
from agentkit.executor.job import Job
from agentkit.executor.room import reserve
from agentkit.trace import Charged, Overrun, Reserved, Settled, TextDelta
from agentkit.types import Completion, Receipt, Request
from agentkit.usage import Bound

LEAST_OUTPUT = 16
"""Tokens; an answer under a smaller cap is not worth its prompt."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A request to one backend, its bound, and what it costs at most with the output cap that is wanted."""

    backend: Backend
    request: Request
    bound: Bound
    wanted: Cost

    @classmethod
    def make(cls, backend: Backend, request: Request, available: Mapping[str, int]) -> Offer:
        """Bound the request; raises UnboundedCost when a limited resource has no bound."""
        bound, name = backend.bound(request), backend.card.name
        if not isinstance(bound, Bound):
            raise UnboundedCost(name, bound.reason)
        if not bound.priced and "usd" in available:
            raise UnboundedCost(name, "its price is unknown")
        return cls(backend, request, bound, bound.at(request.max_output_tokens))

    @property
    def least(self) -> int:
        """The smallest output cap worth sending."""
        return min(LEAST_OUTPUT, self.request.max_output_tokens)

    def cap(self, available: Mapping[str, int]) -> int:
        """Return the largest output cap that `available` affords, −1 for none."""
        return self.bound.affordable_cap(available, self.request.max_output_tokens)

    def cost(self, available: Mapping[str, int]) -> Cost:
        """Return what the call would hold: at the affordable cap, or at the least one when not even that fits."""
        if all(self.wanted[name] <= room for name, room in available.items()):
            return self.wanted
        return self.bound.at(max(self.cap(available), self.least))


async def attempt(job: Job, offer: Offer, step: str) -> tuple[Completion, Cost]:
    """Make the call and settle it; returns the reply and what was charged.

    Raises BudgetExceeded or Saturated when the call does not fit, BackendError when it fails.
    """
    ticket = object()
    try:
        request, hold = await _admit(job, offer, ticket)
        job.emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
        return await call(job, offer.backend, request, hold, step)
    finally:
        job.under_way.discard(ticket)


async def call(job: Job, backend: Backend, request: Request, hold: Hold, step: str) -> tuple[Completion, Cost]:
    """Make a call whose hold is already dispatched, and settle the hold whatever happens.

    A backend that is metered is always streamed: where it is cut short, the usage seen so far is its bill.
    """
    charge: Cost | None = None
    reply, price = Assembler(), backend.card.price
    metered = backend.card.capabilities.metered
    try:
        if metered or job.trace.streaming:
            await _stream(job, backend, request, step, reply)
            completion = reply.partial()
        else:
            completion = await backend.complete(request)
        if completion.usage is not None:
            charge = completion.usage.cost(price)
    except BackendError as error:
        if not error.may_be_billed:
            charge = Cost(requests=1)
        raise
    finally:
        if charge is None and metered and reply.usage is not None:
            charge = reply.usage.cost(price)
        receipt = await hold.settle(charge)  # also when cancelled: the ledger ends what it begins
        _record(job, receipt)
    return completion, receipt.charged


async def _admit(job: Job, offer: Offer, ticket: object) -> tuple[Request, Hold]:
    """Reserve at the wanted cap, once there is room for it; else at the largest that fits what is left."""
    request, what = offer.request, f"model:{offer.backend.card.name}"
    try:
        return request, await reserve(job, ticket, offer.wanted, what)
    except (BudgetExceeded, Saturated):
        pass
    while True:
        affordable = offer.cap(job.scope.view().available)
        cap = max(affordable, offer.least)
        try:
            hold = await reserve(job, ticket, offer.bound.at(cap), what)
        except (BudgetExceeded, Saturated):
            if affordable < offer.least:
                raise
            await anyio.lowlevel.checkpoint()  # somebody took the room between view and reservation: look again
            continue
        return replace(request, max_output_tokens=cap), hold


async def _stream(job: Job, backend: Backend, request: Request, step: str, reply: Assembler) -> None:
    async with aclosing(backend.stream(request)) as deltas:
        async for delta in deltas:
            reply.add(delta)
            if delta.text and job.trace.streaming:
                job.emit(TextDelta(step, backend.card.name, delta.text))


def _record(job: Job, receipt: Receipt) -> None:
    if receipt.estimated:
        job.emit(Charged(receipt.id, receipt.what, receipt.charged))
    else:
        job.emit(Settled(receipt.id, receipt.what, receipt.charged))
    if receipt.overrun:
        job.emit(Overrun(receipt.id, receipt.what, receipt.overrun))
