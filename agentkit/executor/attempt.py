"""One model call under the ledger: bound, reserve, dispatch, call, settle.

The hold is the bound of the output cap that is really sent, so the call cannot cost more than is held. When the
wanted cap does not fit, a smaller one is sent (`admission.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio

from agentkit.backends.base import Assembler, Backend, charge_of
from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import BackendError
from agentkit.executor.admission import admit
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.redaction import StreamRedactor
from agentkit.trace import TextDelta, ended
from agentkit.types import Completion, Request
from agentkit.usage import Usage


@dataclass(slots=True)
class Watch:
    """A call seen from outside: how long it took, its first token (both in seconds), and what it was charged.

    `claim` is awaited before anything is shown to a listener; `shown` says that something was. `answered` and
    `error` say how the call ended; one that was cancelled has neither.
    """

    claim: Callable[[], Awaitable[None]] | None = None
    shown: bool = False
    answered: bool = False
    error: BackendError | None = None
    charged: Cost = field(default_factory=Cost)
    first_token: float | None = None
    seconds: float | None = None
    began: float = 0.0

    async def speak(self) -> None:
        """Note that text is about to be shown."""
        if self.claim is not None and not self.shown:
            await self.claim()
        self.shown = True


Caller = Callable[[Job, Backend, Request, Hold, str], Awaitable[tuple[Completion, Cost]]]
"""What makes a call whose hold is dispatched, and settles the hold; `call` is one."""


async def attempt(job: Job, offer: Offer, step: str, make: Caller | None = None) -> tuple[Completion, Cost]:
    """Make the call and settle it; returns the reply and what was charged.

    Raises BudgetExceeded or Saturated when the call does not fit, BackendError when it fails.
    """
    ticket = object()
    try:
        request, hold = await admit(job, offer, ticket)
        return await (make or call)(job, offer.backend, request, hold, step)
    finally:
        job.under_way.discard(ticket)


async def call(
    job: Job, backend: Backend, request: Request, hold: Hold, step: str, watch: Watch | None = None
) -> tuple[Completion, Cost]:
    """Make a call whose hold is already dispatched, and settle the hold whatever happens.

    A backend that is metered is always streamed: where it is cut short, the usage seen so far is its bill.
    """
    charge: Cost | None = None
    usage: Usage | None = None
    reply, watch = Assembler(), watch or Watch()
    watch.began = anyio.current_time()
    metered = backend.card.capabilities.metered
    try:
        if metered or job.trace.streaming or job.hear is not None:
            await _stream(job, backend, request, step, reply, watch)
            completion = reply.partial()
        else:
            completion = await backend.complete(request)
        usage, watch.answered = completion.usage, True
    except BackendError as error:
        watch.error = error
        if not error.may_be_billed and watch.first_token is None:  # an answer that began is billed
            charge = Cost(requests=1)
        raise
    finally:
        if charge is None and metered:
            usage = usage or reply.usage
        if usage is not None:
            charge = charge_of(usage, backend.card)
        receipt = await hold.settle(charge)  # also when cancelled: the ledger ends what it begins
        watch.charged, watch.seconds = receipt.charged, anyio.current_time() - watch.began
        for event in ended(receipt, usage):
            job.emit(event)
    return completion, receipt.charged


async def _stream(job: Job, backend: Backend, request: Request, step: str, reply: Assembler, watch: Watch) -> None:
    shown, name, hear, streaming = StreamRedactor(), backend.card.name, job.hear, job.trace.streaming
    async with aclosing(backend.stream(request)) as deltas:
        async for delta in deltas:
            reply.add(delta)
            if watch.first_token is None:
                watch.first_token = anyio.current_time() - watch.began
            if not (said := delta.text):
                continue
            if hear is not None:
                await watch.speak()
                hear(said)
            if streaming and (text := shown.feed(said)):
                if not watch.shown:
                    await watch.speak()
                job.emit(TextDelta(step, name, text))
    if rest := shown.flush():
        await watch.speak()
        job.emit(TextDelta(step, name, rest))
