"""The finish line: a hold made before anything else, so that the final answer is always paid for.

The wrap-up prompt is one self-contained message with as many facts as the hold covers; the oldest are dropped, and
the last one left is shortened. The hold is what the cheapest model needs for it; the least hold, without facts and
at the least cap, is the published minimum of a run. What the work leaves over is added before the wrap-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from agentkit.backends.base import Backend, bound_of
from agentkit.backends.retry import is_transient
from agentkit.budgets import Hold
from agentkit.costs import Cost
from agentkit.errors import AgentkitError, BackendError, BudgetError, BudgetExceeded, ContextOverflow, Saturated
from agentkit.executor.attempt import Watch, call
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.executor.persist import persist
from agentkit.messages import system, user
from agentkit.trace import Dispatched, Extended, Reserved, Retried, Voided
from agentkit.types import Request
from agentkit.usage import Bound
from agentkit.wrap_up import wrap_up_prompt

FACT_TOKENS = 384
ANSWER_TOKENS = 160
LEAST_ANSWER_TOKENS = 32
FACT_STEP = 16
LEAST_FACT = 40
"""Characters; a fact cut shorter says nothing."""
SHARE = 16
"""A reserve above the minimum takes at most this part (1/SHARE) of what is available."""


@dataclass(frozen=True, slots=True)
class FinishLine:
    """The hold of the final answer, for `backend`, covering `input_tokens` and `output_cap`."""

    hold: Hold
    backend: Backend
    input_tokens: int
    output_cap: int


def minimum(job: Job, task: str) -> Cost:
    """Return what the least final answer costs at most; raises UnboundedCost when no model's cost is bounded."""
    return _cheapest(job, task, job.scope.view().available)[1].at(LEAST_ANSWER_TOKENS)


async def reserve_finish_line(job: Job, task: str) -> FinishLine:
    """Hold the final answer: comfortably where the budget allows it, at the minimum otherwise.

    Raises BudgetExceeded or Saturated when not even the minimum fits; then nothing was spent.
    """
    available = job.scope.view().available
    backend, bound = _cheapest(job, task, available)
    facts, cap = _size(bound, available)
    cost = replace(bound, input_tokens=bound.input_tokens + facts).at(cap)
    hold = await job.scope.reserve(cost, what=f"finish:{backend.card.name}", deadline=job.deadline)
    job.emit(Reserved(hold.id, hold.what, hold.held, dispatched=False))
    return FinishLine(hold, backend, bound.input_tokens + facts, cap)


async def release(job: Job, line: FinishLine) -> None:
    """Give the hold back if the final answer was not asked for."""
    if line.hold.state == "reserved":
        await line.hold.void()
        job.emit(Voided(line.hold.id))


async def wrap_up(job: Job, line: FinishLine, task: str) -> str:
    """Ask for the final answer from the facts so far, on the hold; returns its text, else what is known."""
    line = await _grown(job, line, task)
    request = _fitted(job, line, task)
    endpoint, watch = job.guard(line.backend).choose(line.hold.held["tokens"]).backend, Watch()
    try:
        await line.hold.dispatch()
        job.emit(Dispatched(line.hold.id))
        try:
            completion, _ = await call(job, endpoint, request, line.hold, "finish", watch)
        except BackendError as error:
            if watch.shown or not is_transient(error):
                raise
            # the hold is gone with the call; what it gave back may pay for another one
            job.emit(Retried("finish", str(error)))
            completion, _ = await persist(job, Offer.make(line.backend, request, job.view().available), "finish")
    except (BackendError, BudgetError):  # the call is recorded; the run still has an answer
        return known_so_far(job)
    return completion.message.text.strip() or known_so_far(job)


def known_so_far(job: Job) -> str:
    """Return the best text there is without asking a model."""
    if job.progress.text:
        return job.progress.text
    facts = "\n".join(f"- {fact}" for fact in job.progress.facts)
    return f"There is no final answer. Known so far:\n{facts}" if facts else "There is no final answer."


def _cheapest(job: Job, task: str, available: Mapping[str, int]) -> tuple[Backend, Bound]:
    """Return the cheapest model for the least final answer, and the bound of its prompt."""
    offers: list[Offer] = []
    refusals: list[AgentkitError] = []
    for backend in job.backends.values():
        try:
            offers.append(Offer.make(backend, _request(job, backend, task, (), LEAST_ANSWER_TOKENS), available))
        except (BudgetError, BackendError) as error:
            refusals.append(error)
    if not offers:
        raise refusals[0]
    cheapest = min(offers, key=_rank)
    return cheapest.backend, cheapest.bound


def _size(bound: Bound, available: Mapping[str, int]) -> tuple[int, int]:
    """Return tokens of facts and the output cap: the most, in eighths, at a fair share of the budget."""
    for eighths in range(8, 0, -1):
        facts = FACT_TOKENS * eighths // 8
        cap = LEAST_ANSWER_TOKENS + (ANSWER_TOKENS - LEAST_ANSWER_TOKENS) * eighths // 8
        cost = replace(bound, input_tokens=bound.input_tokens + facts).at(cap)
        if all(cost[name] * SHARE <= room for name, room in available.items() if name != "requests"):
            return facts, cap
    return 0, LEAST_ANSWER_TOKENS


async def _grown(job: Job, line: FinishLine, task: str) -> FinishLine:
    """Add to the hold what the work left over: room for the facts there are, then for a longer answer."""
    free = job.scope.view().available
    room = {name: left + line.hold.held[name] for name, left in free.items()}
    bound = Offer.make(line.backend, _request(job, line.backend, task, (), ANSWER_TOKENS), free).bound
    facts = min(FACT_TOKENS, sum(len(fact.encode()) + len("\n- ") for fact in job.progress.facts))
    for tokens in range(bound.input_tokens + facts, line.input_tokens, -FACT_STEP):
        larger = replace(bound, input_tokens=tokens)
        cap = larger.affordable_cap(room, min(ANSWER_TOKENS, line.backend.card.max_output_tokens))
        if cap >= line.output_cap:
            with suppress(BudgetExceeded, Saturated):  # somebody else took the room: the line is as it was
                more = larger.at(cap).minus(line.hold.held)
                await line.hold.extend(more)
                job.emit(Extended(line.hold.id, more))
                return replace(line, input_tokens=tokens, output_cap=cap)
    return line


def _fitted(job: Job, line: FinishLine, task: str) -> Request:
    """Drop the oldest facts, then half of the last one, until the prompt is within the hold.

    Without facts it is, by construction.
    """
    facts = list(job.progress.facts)
    while True:
        request = _request(job, line.backend, task, facts, line.output_cap)
        if not facts or _within(line, request):
            return request
        if len(facts) == 1 and len(facts[0]) > LEAST_FACT:
            facts[0] = facts[0][: len(facts[0]) // 2]
        else:
            facts.pop(0)


def _within(line: FinishLine, request: Request) -> bool:
    try:
        return bound_of(line.backend, request).input_tokens <= line.input_tokens
    except ContextOverflow:
        return False


def _request(job: Job, backend: Backend, task: str, facts: Sequence[str], cap: int) -> Request:
    instructions = (system(job.instructions),) if job.instructions else ()
    return Request(
        messages=(*instructions, user(wrap_up_prompt(task, facts))),
        max_output_tokens=min(cap, backend.card.max_output_tokens),
        temperature=job.sampling.temperature,
        seed=job.sampling.seed,
        reasoning_effort="none",  # its cap is small and includes thinking: the answer comes first
        output_schema=job.output_schema,
    )


def _rank(offer: Offer) -> tuple[bool, int, int]:
    """Unknown prices come last: they may be anything."""
    return not offer.bound.priced, offer.wanted["usd"], offer.wanted["tokens"]
