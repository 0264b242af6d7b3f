"""Lets a call leave: chooses the output cap to send, and holds what the call may cost under it.

    alone      the wanted cap, else the largest that the budget affords
    crowded    the wanted cap, else the likely one, else wait: a call that is under way ends by itself

Crowded means that other model calls of the run are under way, so that what they hold comes back. Where none of it
would come back to this call, since a budget of its own is what is short, there is no wait. The likely cap is the
predicted quantile of the output length (`budgets/length.py`), and the wanted one where nothing is predicted and
where the backend is metered: a call that breaks there is billed what it made, so a smaller hold saves nothing.
What it cuts goes on under a new hold (`continuation.py`). With a gate of g, a new call among others leaves room
for g typical ones: for such pieces, so only where there is a likely cap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import anyio

from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import BudgetExceeded, Saturated
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.executor.room import pauses
from agentkit.trace import Dispatched, Extended, Reserved
from agentkit.types import Request


async def admit(job: Job, offer: Offer, ticket: object) -> tuple[Request, Hold]:
    """Hold the call as soon as there is room for it; returns the request with the cap that is sent.

    `ticket` stands for the call in `job.under_way`; the caller takes it out when the call is over. Raises
    BudgetExceeded or Saturated when not even the least cap fits and nobody is left to make room.
    """
    if not job.under_way:  # the common case, without a look at the books
        with suppress(BudgetExceeded, Saturated):
            return offer.request, await _reserve(job, ticket, offer, offer.wanted)
    waits, wanted = pauses(), offer.request.max_output_tokens
    while True:
        crowded = bool(job.under_way)
        room = (job.scope if crowded else job).view().available
        affordable = offer.cap(room)
        likely = max(offer.least, offer.likely(job.lengths))
        beside = offer.cap(_behind_gate(job, offer, room)) if crowded else affordable
        if crowded and beside < likely and (likely <= affordable or await _may_grow(job, offer, affordable)):
            await anyio.sleep(next(waits))
            continue
        cap = likely if crowded and likely <= beside < wanted else max(affordable, offer.least)
        try:
            hold = await _reserve(job, ticket, offer, offer.bound.at(cap), None if crowded else job.spare_hold)
        except (BudgetExceeded, Saturated) as error:
            if affordable < offer.least and (isinstance(error, BudgetExceeded) or not job.under_way):
                raise
            await anyio.sleep(next(waits))  # somebody took the room between view and reservation: look again
        else:
            return replace(offer.request, max_output_tokens=cap), hold


def _behind_gate(job: Job, offer: Offer, room: Mapping[str, int]) -> Mapping[str, int]:
    """Return `room` without what the gate keeps free for further pieces; such a piece may use all."""
    typical = 0 if offer.further else job.lengths.typical(offer.kind, offer.request.max_output_tokens)
    if not (typical and job.gate) or offer.likely(job.lengths) == offer.request.max_output_tokens:
        return room
    call = offer.bound.at(typical)
    return {name: left - math.ceil(job.gate * call[name]) for name, left in room.items()}


async def _may_grow(job: Job, offer: Offer, affordable: int) -> bool:
    """Tell whether a larger cap than the `affordable` one may fit later: the ledger knows what is only held."""
    try:
        hold = await job.scope.reserve(offer.bound.at(max(affordable + 1, offer.least)), what="room")
    except Saturated:
        return True
    except BudgetExceeded:
        return False
    await hold.void()  # it fits by now
    return True


async def _reserve(job: Job, ticket: object, offer: Offer, cost: Cost, spare: Hold | None = None) -> Hold:
    """Hold `cost` for a call that leaves at once, on the spare hold if there is one."""
    job.under_way.add(ticket)  # before the ledger is asked: once it answers, others may wait for this call
    try:
        if spare is None:
            hold = await job.scope.reserve(cost, what=offer.what, dispatch=True)
            job.emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
            return hold
        if more := cost.minus(spare.held):
            await spare.extend(more)
            job.emit(Extended(spare.id, more))
        await spare.dispatch()
        job.emit(Dispatched(spare.id))
        return spare
    except (BudgetExceeded, Saturated):
        job.under_way.discard(ticket)
        raise
