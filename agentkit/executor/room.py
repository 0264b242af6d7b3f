"""Room for calls: what does not fit now is waited for while another model call of the run is under way.

A call that is under way ends by itself and gives back what it did not use, so there is something to wait for. When
none is, waiting would last for ever: what is still held is the finish line, and it stays held until the run ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import Saturated
from agentkit.executor.job import Job

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05


def pauses() -> Iterator[float]:
    """Yield how long to wait before each further look, in seconds."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


async def reserve(job: Job, ticket: object, cost: Cost, what: str, *, dispatch: bool = True) -> Hold:
    """Hold `cost` in the run's scope as soon as there is room for it.

    `ticket` stands for the call in `job.under_way`; the caller takes it out when the call is over. Raises
    BudgetExceeded when it will never fit, Saturated when nobody is left to make room.
    """
    waits = pauses()
    while True:
        job.under_way.add(ticket)  # before the ledger is asked: once it answers, others may wait for this call
        try:
            return await job.scope.reserve(cost, what=what, dispatch=dispatch)
        except Saturated:
            job.under_way.discard(ticket)
            if not job.under_way:
                raise
        await anyio.sleep(next(waits))
