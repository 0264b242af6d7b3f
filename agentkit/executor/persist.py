"""Makes a call until it succeeds or the policy gives up: gate, attempt, pause, and again.

    choose an endpoint → wait at its gate → hold, call, settle → succeeded: done; failed: pause → choose again

Each attempt has a hold of its own, and whoever waits (at a gate, or between attempts) holds nothing. A retry is
made only if the budget affords it and its pause ends before the deadline, and never once a listener was shown text
of the failed attempt. What a response cache has kept passes no gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import anyio

from agentkit.backends.base import Backend
from agentkit.backends.gate import Gate, Passage
from agentkit.backends.guarded import Guarded
from agentkit.backends.retry import is_transient
from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import BackendError, BudgetError
from agentkit.executor.attempt import Caller, Watch, attempt, call
from agentkit.executor.hedge import Claim, race
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.trace import Reserved, Retried
from agentkit.types import Completion, Request

WORTH_TELLING = 0.1
"""Seconds; a shorter wait at a gate is not told."""


async def persist(job: Job, offer: Offer, step: str) -> tuple[Completion, Cost]:
    """Make the call, again if need be; returns the reply and what all attempts were charged.

    Raises what `attempt` raises, with the charges of all attempts on a BackendError.
    """
    return await _Effort(job, offer, step).run()


class _Effort:
    """The attempts of one call."""

    def __init__(self, job: Job, offer: Offer, step: str) -> None:
        self._job, self._offer, self._step = job, offer, step
        self._endpoints = job.guard(offer.backend)
        self._policy = job.resilience.retry
        self._alternatives = len(job.backends) > 1
        self._failures = 0
        self._failed: set[str] = set()
        self._watches: list[Watch] = []

    async def run(self) -> tuple[Completion, Cost]:
        while True:
            guard = self._endpoints.choose(self._offer.wanted["tokens"], self._failed)
            try:
                return await self._once(guard), self._charged()
            except BackendError as error:
                error.charged = self._charged()
                self._failures += 1
                self._failed.add(guard.card.name)
                if (pause := self._pause(error)) is None:
                    raise
                elsewhere = self._endpoints.has_other(self._failed)
                self._tell(f"{error}; again " + ("at another endpoint" if elsewhere else f"in {pause:.2g} s"))
            await anyio.sleep(pause)

    async def _once(self, guard: Guarded) -> Completion:
        offer = self._at(guard)
        if (kept := await guard.kept(offer.request)) is not None:
            make = partial(call, watch=self._watch())
            return (await attempt(self._job, replace(offer, backend=kept), self._step, make))[0]
        tokens = offer.wanted["tokens"]
        passage = guard.gate.enter_now(tokens) or await self._waited(guard.gate, tokens)
        with self._passing(guard.gate, passage) as watch:
            completion, _ = await attempt(self._job, offer, self._step, self._caller(guard, watch))
            if watch.error is None and watch.seconds is not None:
                guard.gate.observe(watch.seconds, watch.first_token)
        return completion

    async def _waited(self, gate: Gate, tokens: int) -> Passage:
        """Wait until the gate lets the call through."""
        began = anyio.current_time()
        longest, others = self._policy.longest(self._alternatives), self._alternatives
        passage = await gate.enter(tokens, longest, alternatives=others)
        if (waited := anyio.current_time() - began) > WORTH_TELLING:
            self._tell(f"{gate.model} was waited for, {waited:.2g} s, until it could take the call")
        return passage

    @contextmanager
    def _passing(self, gate: Gate, passage: Passage) -> Iterator[Watch]:
        """Tell the gate how the call of the block ended, and the trace what that changed.

        The block may end otherwise: where two calls race, it ends as the winner does.
        """
        watch = self._watch()
        try:
            yield watch
        finally:
            used = watch.charged["tokens"]
            if watch.answered or watch.error is not None:
                self._tell(*gate.leave(passage, watch.error, used))
            else:
                gate.abandon(passage, used)

    def _watch(self) -> Watch:
        watch = Watch()
        self._watches.append(watch)
        return watch

    def _caller(self, guard: Guarded, watch: Watch) -> Caller:
        """Return what makes the call: the call itself, or a race with a second one should it be late."""
        hedge, gate = self._job.resilience.hedge, guard.gate
        seen = gate.first_tokens if self._job.trace.streaming else gate.totals
        delay = hedge.delay(seen) if hedge else None
        return partial(call, watch=watch) if delay is None else partial(self._raced, guard, watch, delay)

    async def _raced(
        self,
        guard: Guarded,
        watch: Watch,
        delay: float,
        job: Job,
        backend: Backend,
        request: Request,
        hold: Hold,
        step: str,
    ) -> tuple[Completion, Cost]:
        async def first(claim: Claim) -> tuple[Completion, Cost]:
            watch.claim = claim
            return await call(job, backend, request, hold, step, watch)

        async def second(claim: Claim) -> tuple[Completion, Cost] | None:
            return await self._second(guard, request, claim, delay)

        return await race(first, second, delay)

    async def _second(
        self, guard: Guarded, request: Request, claim: Claim, delay: float
    ) -> tuple[Completion, Cost] | None:
        """Make the call once more if an endpoint takes it at once and the budget has room for both."""
        job, late = self._job, guard.card.name
        other = self._endpoints.choose(self._offer.wanted["tokens"], self._failed | {late})
        passage = other.gate.enter_now(self._offer.wanted["tokens"])
        if passage is None:
            return None
        with self._passing(other.gate, passage) as watch:
            try:
                offer = self._at(other)
                cost = offer.bound.at(request.max_output_tokens)
                hold = await job.scope.reserve(cost, what=offer.what, dispatch=True)
            except BudgetError:  # there is no room for both
                return None
            self._tell(
                f"{late} is late, after {delay:.2g} s; {other.card.name} is asked as well, both are charged"
            )
            job.emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
            watch.claim = claim
            return await call(job, other.backend, request, hold, self._step, watch)

    def _pause(self, error: BackendError) -> float | None:
        """Return how long to wait before the next attempt, None for no further one."""
        offer, job = self._offer, self._job
        if any(watch.shown for watch in self._watches):
            return None
        if offer.cap(job.view().available) < offer.least and not job.under_way:
            return None
        own = is_transient(error) or error.kind == "request"  # keys and credit are an endpoint's own
        if own and self._failures < self._policy.attempts and self._endpoints.has_other(self._failed):
            return 0.0
        left = anyio.current_effective_deadline() - anyio.current_time()
        luck = job.resilience.luck()
        return self._policy.pause(error, self._failures, left=left, luck=luck, alternatives=self._alternatives)

    def _at(self, guard: Guarded) -> Offer:
        """Return the offer as one of the endpoints makes it, at its own price."""
        offer = self._offer
        if guard.card.name == offer.backend.card.name:
            return offer
        made = Offer.make(guard.backend, offer.request, self._job.view().available)
        return replace(made, least=offer.least, further=offer.further)

    def _charged(self) -> Cost:
        if len(self._watches) == 1:  # nearly always
            return self._watches[0].charged
        return sum((watch.charged for watch in self._watches), Cost())

    def _tell(self, *notes: str) -> None:
        for note in notes:
            self._job.emit(Retried(self._step, note))
