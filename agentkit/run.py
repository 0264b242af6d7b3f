"""One request from end to end. Read this file first.

    open a scope → hold the finish line → compose → plan → run the steps → answer → close

What is asked is in `work.py`, what it is done with in `equipment.py`, and another agent goes on in `handover.py`.

Whatever happens in between, the run ends with nothing held, every receipt in the trace, and an answer: the work's
own, or the wrap-up's from what is known when a limit is reached.
"""

from __future__ import annotations

import math
import secrets
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

import anyio
from typing_extensions import TypeVar

from agentkit.answer import Answer
from agentkit.budgets import Ledger, Scope
from agentkit.equipment import compose, equipped, made_for, with_made_tool, with_sources
from agentkit.errors import (
    AgentkitError,
    BackendError,
    BudgetExceeded,
    ContextOverflow,
    LedgerError,
    Saturated,
    ScopeFrozen,
)
from agentkit.executor import (
    FinishLine,
    Job,
    StepResult,
    carry_out,
    known_so_far,
    release,
    reserve_finish_line,
    wrap_up,
)
from agentkit.handover import hand_over
from agentkit.messages import Message, assistant
from agentkit.trace import Answered, Failed, Planned, RunStarted, Trace
from agentkit.types import Completion, Status
from agentkit.work import Work, job_of

T = TypeVar("T", default=str)

WRAP_UP_SHARE = 0.15
"""Part of the wall time kept for the wrap-up."""

_under_way: dict[str, set[object]] = {}
"""By the name of each run that is open and not inside another: the tickets of its model calls, see `Job`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work ended: the answer's status, stop_reason and unmet; without a text it is still to be made."""

    status: Status
    reason: str
    unmet: tuple[str, ...] = ()
    text: str = ""


async def run(work: Work[T]) -> Answer[T]:
    """Carry out `work`.

    Raises BackendError when every model fails, UnboundedCost when no model's cost can be bounded, ToolSourceError
    when what supplies tools cannot be opened, and with on_limit `raise` the budget's refusal; each has the run's
    `receipts`.
    """
    began = anyio.current_time()
    async with AsyncExitStack() as cleanup:
        work = await with_sources(work, cleanup)  # they are closed after the books are
        job = await _open(work, cleanup, began)
        cleanup.push(partial(_note_failure, job))
        try:
            line = None if work.nested else await reserve_finish_line(job, work.task)
        except (BudgetExceeded, Saturated, ScopeFrozen) as error:
            if work.budget.on_limit == "raise":
                raise
            code = "frozen" if isinstance(error, ScopeFrozen) else error.resource
            return await _answer(work, job, Ending("infeasible", f"infeasible:{code}", (str(error),)))
        try:
            ending = await _carry_out(work, job, line)
            if not ending.text:
                ending = replace(ending, text=await _last_words(work, job, line))
        finally:
            if line is not None:
                await release(job, line)
        return await _answer(work, job, ending)


def is_inside_run(scope: Scope) -> bool:
    """Tell whether `scope` belongs to a run, whose finish line then covers everything below."""
    return any(part in _under_way for part in scope.name.split("/"))


async def _open(work: Work[T], cleanup: AsyncExitStack, began: float) -> Job:
    """Open the run's scope and trace; both are closed on the way out, whatever the way."""
    name, limits, seconds = f"run-{secrets.token_hex(6)}", work.budget.limits(), work.budget.seconds
    trace = Trace(name, work.sinks, work.listener)
    cleanup.callback(trace.close)
    if work.parent is None:
        ledger = cleanup.enter_context(Ledger.open(work.ledger_url))
        scope = ledger.scope(name, limits=limits)
    else:
        scope = work.parent.share(limits, name=name)
    cleanup.push(partial(_hand_receipts, scope))
    cleanup.push_async_callback(scope.close)  # also when cancelled: the ledger always ends what it begins
    if not work.nested:
        _under_way[name] = set()
        cleanup.callback(_under_way.pop, name)
    calls = next((_under_way[part] for part in scope.name.split("/") if part in _under_way), None)
    job = job_of(work, scope, trace, None if seconds is None else began + seconds, calls)
    job.emit(RunStarted(work.agent, work.task, limits, seconds, work.budget_origin))
    return job


def _note_failure(job: Job, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
    """Let the trace of a run that was interrupted or failed say so."""
    if kind is not None:
        job.emit(Failed("run", f"{kind.__name__}: {error}".rstrip(": ")))


def _hand_receipts(scope: Scope, _: object, error: BaseException | None, __: object) -> None:
    """Let the error that ends a run say what the run was charged."""
    if isinstance(error, AgentkitError):
        with suppress(LedgerError):  # the books may be what failed
            error.receipts = scope.receipts()


async def _carry_out(work: Work[T], job: Job, line: FinishLine | None) -> Ending:
    """Do the work until it ends by itself or reaches a limit."""
    try:
        if job.deadline is None:
            return _ending(await _work(work, job, line))
        soft_deadline = job.deadline - WRAP_UP_SHARE * (job.seconds or 0)  # so that the wrap-up is still in time
        if anyio.current_time() < soft_deadline:
            with anyio.move_on_at(soft_deadline):
                return _ending(await _work(work, job, line))
        if work.budget.on_limit == "raise":
            raise BudgetExceeded(job.scope.name, "seconds", math.ceil(work.budget.seconds or 0), 0)
        ending = Ending("exhausted", "time", (f"the time limit of {work.budget.seconds:g} seconds is near",))
    except (BudgetExceeded, Saturated, ScopeFrozen) as error:
        if work.budget.on_limit == "raise":
            raise
        code = "frozen" if isinstance(error, ScopeFrozen) else f"limit:{error.resource}"
        ending = Ending("exhausted", code, (str(error),))
    except ContextOverflow as error:  # what is known still fits the wrap-up's prompt, which is short
        ending = Ending("degraded", "context", (str(error),))
    except BackendError as error:
        if error.partial is None and job.progress.messages:
            error.partial = Completion(assistant(known_so_far(job)), "length")
        raise
    job.emit(Failed(ending.reason, ending.unmet[0]))
    return ending


def _ending(result: StepResult) -> Ending:
    """Say how work ended that reached no limit."""
    status: Status = "complete" if result.ended == "answered" else "degraded"
    return Ending(status, result.ended, result.problems, result.text if result.text.strip() else "")


async def _work(work: Work[T], job: Job, line: FinishLine | None) -> StepResult:
    """Compose, plan and run the steps."""
    job = await with_made_tool(work, job)
    selection = await compose(work, job)
    plan = await work.planner.plan(work.task, selection, job.scope.view())
    job = equipped(job, selection, plan.tools)
    job.emit(Planned({step.id: step.needs for step in plan.steps}, plan.reason))
    if line is not None and len(plan.steps) == 1 and _answers_at_once(work, job, line):
        job = replace(job, spare=line.hold)
    result = await carry_out(job, work.task, plan)
    if result.ended == "handed_over":
        result = await hand_over(work, job, result)
    job.progress.messages, job.progress.text = result.messages, result.text.strip()
    return result


def _answers_at_once(work: Work[T], job: Job, line: FinishLine) -> bool:
    """Tell whether the first call is itself a final answer, of the model that `line` was made for.

    Then it may have what is kept for one. Calls of tools, summaries and halves of JSON objects are no answers, nor
    is a call that a deadline cancels.
    """
    if work.tools or job.tools or work.resilience.on_overflow == "summarise" or job.deadline is not None:
        return False
    return job.output_schema is None and list(job.backends) == [line.backend.card.name]


async def _last_words(work: Work[T], job: Job, line: FinishLine | None) -> str:
    """Return the best answer proposed so far, else the wrap-up's text, else what is known.

    There is no wrap-up without a finish line or without time for it, nor once an overrun has frozen the scope: the
    bounds of its models do not hold.
    """
    if job.progress.text:
        return job.progress.text
    deadline = float("inf") if job.deadline is None else job.deadline
    if line is not None and anyio.current_time() < deadline and not job.scope.view().frozen:
        with anyio.move_on_at(deadline), suppress(BudgetExceeded, Saturated, ScopeFrozen):
            if line.hold.state != "reserved":  # it was lent to a call that brought no text
                line = await reserve_finish_line(job, work.task)
            return await wrap_up(job, line, work.task)
    return known_so_far(job)


async def _answer(work: Work[T], job: Job, ending: Ending) -> Answer[T]:
    """Close the books and assemble the answer."""
    await job.scope.close()
    readable = ending.status != "infeasible"
    problems = work.output.problems(ending.text) if readable else ()
    spent = job.scope.view().spent
    made = made_for(work, job, spent, complete=ending.status == "complete")
    job.emit(Answered(ending.status, ending.reason, ending.text, spent))
    return Answer(
        output=work.output.read(ending.text) if readable and not problems else None,
        text=ending.text,
        status=ending.status,
        stop_reason=ending.reason,
        spent=spent,
        receipts=job.scope.receipts(),
        messages=_ended(job.progress.messages, ending.text),
        trace=tuple(job.trace.events),
        unmet=(*ending.unmet, *(problem for problem in problems if problem not in ending.unmet)),
        budget_origin=work.budget_origin,
        tool_making=made,
    )


def _ended(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """A conversation ends with the answer; one that was stopped at a tool's result gets it appended."""
    if not messages or messages[-1].role == "assistant":
        return messages
    return (*messages, assistant(text))
