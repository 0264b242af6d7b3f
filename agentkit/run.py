"""One request from end to end. Read this file first.

    open a scope → hold the finish line → compose → plan → run the steps → answer → close

Whatever happens in between, the run ends with nothing held, every receipt in the trace, and an answer: the work's
own, or the wrap-up's from what is known when a limit is reached.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

import anyio
from typing_extensions import TypeVar

from agentkit.answer import Answer, MadeFor
from agentkit.backends.base import Backend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.budgets import Ledger, Scope, Tracker
from agentkit.budgets.length import OutputLengths
from agentkit.catalog import Catalog, Selection, key_of
from agentkit.composer import Composer
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendError, BudgetExceeded, ContextOverflow, Saturated, ScopeFrozen
from agentkit.executor import (
    FinishLine,
    Job,
    Progress,
    Sampling,
    StepResult,
    carry_out,
    known_so_far,
    minimum,
    release,
    reserve_finish_line,
    wrap_up,
)
from agentkit.executor.resilience import Resilience
from agentkit.executor.tool_loop import run_tool_loop
from agentkit.messages import SUMMARY, Message, assistant, system
from agentkit.output import OutputType
from agentkit.planner import Planner
from agentkit.routers import Router
from agentkit.tools import Registry, Tool
from agentkit.tools.context import enforcer_around
from agentkit.tools.source import ToolSource
from agentkit.trace import Answered, Composed, Event, Failed, Planned, RunStarted, Sink, Trace
from agentkit.types import Completion, Status

if TYPE_CHECKING:
    from agentkit.toolmaking import ToolMaking
    from agentkit.tools.enforcer import Enforcer
    from agentkit.tools.index import ToolSearch
    from agentkit.tools.policy import Policy

T = TypeVar("T", default=str)

WRAP_UP_SHARE = 0.15
"""Part of the wall time kept for the wrap-up."""

_under_way: dict[str, set[object]] = {}
"""By the name of each run that is open and not inside another: the tickets of its model calls, see `Job`."""


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """One request: what is asked, with what, and under which budget."""

    agent: str
    task: str
    backends: Mapping[str, Backend]
    router: Router
    planner: Planner
    composer: Composer
    tools: tuple[Tool, ...]
    instructions: str
    history: tuple[Message, ...]
    output: OutputType[T]
    sampling: Sampling
    max_steps: int
    budget: Budget
    budget_origin: str
    tool_search: ToolSearch | None = None
    context: object = None
    parent: Scope | None = None
    nested: bool = False
    ledger_url: str = "memory:"
    sinks: tuple[Sink, ...] = ()
    listener: Callable[[Event], None] | None = None
    lengths: OutputLengths = field(default_factory=OutputLengths)
    gate: float = 0.0
    resilience: Resilience = field(default_factory=Resilience)
    guards: Mapping[str, Guarded | Pool] = field(default_factory=dict)
    sources: tuple[ToolSource, ...] = ()
    policy: Policy | None = None
    tool_making: ToolMaking | None = None
    handoffs: Mapping[str, Callable[[], Work[Any]]] = field(default_factory=dict)
    max_handoffs: int = 0


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
    when what supplies tools cannot be opened, and with on_limit `raise` the budget's refusal.
    """
    began = anyio.current_time()
    async with AsyncExitStack() as cleanup:
        for source in work.sources:  # closed after the books are
            tools = await cleanup.enter_async_context(source.open(work.budget.seconds))
            work = replace(work, tools=(*work.tools, *tools))
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


def least_cost(work: Work[T]) -> Cost:
    """Return the published minimum: the cost of one clamped final answer.

    Raises UnboundedCost when no model's cost can be bounded in what the budget limits.
    """
    with Ledger.open() as ledger:
        scope = ledger.scope("minimum", limits=work.budget.limits())
        return minimum(_job(work, scope, Trace("minimum"), None), work.task)


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
    cleanup.push_async_callback(scope.close)  # also when cancelled: the ledger always ends what it begins
    if not work.nested:
        _under_way[name] = set()
        cleanup.callback(_under_way.pop, name)
    job = _job(work, scope, trace, None if seconds is None else began + seconds)
    job.emit(RunStarted(work.agent, work.task, limits, seconds, work.budget_origin))
    return job


def _job(work: Work[T], scope: Scope, trace: Trace, deadline: float | None) -> Job:
    return Job(
        backends=work.backends,
        router=work.router,
        tools=Registry(work.tools),
        scope=scope,
        trace=trace,
        tracker=Tracker(),
        context=work.context,
        instructions="\n".join(filter(None, (work.instructions, work.output.instructions))),
        own_instructions=work.instructions,
        history=tuple(message for message in work.history if message.role != "system"),
        sampling=work.sampling,
        check=work.output.problems,
        output_schema=work.output.schema,
        max_steps=work.max_steps,
        deadline=deadline,
        seconds=work.budget.seconds,
        under_way=next((_under_way[part] for part in scope.name.split("/") if part in _under_way), set()),
        progress=Progress(),
        lengths=work.lengths,
        gate=work.gate,
        resilience=work.resilience,
        guards=work.guards,
        enforcer=_enforcer(work),
    )


def _enforcer(work: Work[T]) -> Enforcer | None:
    if work.policy is None and enforcer_around.get() is None and not work.handoffs:
        return None  # with hand-offs whoever takes over is held to what was read before it came
    from agentkit.tools.enforcer import enforcer_for

    said = [message.text for message in work.history if message.role == "user" and message.name != SUMMARY]
    told = [work.instructions, *said]
    tool_text_before = any(message.role == "tool" or message.name == SUMMARY for message in work.history)
    return enforcer_for(work.policy, work.task, told, work.tools, tool_text_before)


def _note_failure(job: Job, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
    """Let the trace of a run that was interrupted or failed say so."""
    if kind is not None:
        job.emit(Failed("run", f"{kind.__name__}: {error}".rstrip(": ")))


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
    if work.tool_making is not None:
        job = await _with_made_tool(work.tool_making, work.task, job)
    selection, whole = await _composed(work, job)
    plan = await work.planner.plan(work.task, selection, job.scope.view())
    equipped = job if whole else _equipped(job, selection, plan.tools)
    job.emit(Planned({step.id: step.needs for step in plan.steps}, plan.reason))
    if line is not None and len(plan.steps) == 1 and _answers_at_once(work, equipped, line):
        equipped = replace(equipped, spare=line.hold)
    result = await carry_out(equipped, work.task, plan)
    if result.ended == "handed_over":
        result = await _handed_over(work, equipped, result)
    job.progress.messages, job.progress.text = result.messages, result.text.strip()
    return result


async def _with_made_tool(making: ToolMaking, task: str, job: Job) -> Job:
    """Return the job with the made tool that fits its task, if there is one or one is worth making."""
    taken = {tool.name for tool in job.tools}
    left = None if job.deadline is None else job.deadline - anyio.current_time()
    with nullcontext() if job.enforcer is None else job.enforcer.around():  # for the maker's own tools
        dispatch = await making.decide(task, job.scope, job.emit, taken=taken, seconds=left)
    job.progress.dispatch = dispatch
    return job if dispatch.tool is None else replace(job, tools=Registry((*job.tools, dispatch.tool)))


async def _composed(work: Work[T], job: Job) -> tuple[Selection, bool]:
    """Return what to work with, and whether that is all there is."""
    tools, passed_over = await _found(work, job)
    tools += tuple(tool for tool in job.tools if tool not in work.tools)
    catalog = Catalog.of(work.task, job.instructions, tools, job.cards)
    selection = work.composer.compose(catalog, job.scope.view().available)  # the search may have cost something
    reasons = {**selection.reasons, **passed_over}
    job.emit(Composed(tuple(sorted(selection.chosen)), reasons, selection.value, selection.more))
    return selection, len(selection.chosen) == len(reasons)


async def _handed_over(work: Work[T], job: Job, result: StepResult) -> StepResult:
    """Go on with the conversation as the agent it was handed over to, in the same scope and to the same deadline.

    The answer is held to the output type that was asked for, and calls to the policies of both. The last agent
    that the limit allows is not offered to hand it on.
    """
    taker: Work[Any] = work.handoffs[result.taker]()
    taker = replace(taker, task=work.task, history=work.history, budget=work.budget)
    left = work.max_handoffs - 1
    if not left:
        taker = replace(taker, tools=tuple(tool for tool in taker.tools if not tool.hands_over))
    async with AsyncExitStack() as cleanup:
        if job.enforcer is not None:
            cleanup.enter_context(job.enforcer.around())
        for source in taker.sources:
            tools = await cleanup.enter_async_context(source.open(work.budget.seconds))
            taker = replace(taker, tools=(*taker.tools, *tools))
        next_work = replace(taker, output=work.output, max_handoffs=left)
        own = replace(
            _job(next_work, job.scope, job.trace, job.deadline), tracker=job.tracker, progress=job.progress
        )
        job.emit(Planned({taker.agent: ()}, f"{work.agent} hands over to {taker.agent}"))
        selection, whole = await _composed(next_work, own)
        own = own if whole else _equipped(own, selection, frozenset())
        instructions = (system(own.instructions),) if own.instructions else ()
        said = (message for message in result.messages if message.role != "system")
        result = await run_tool_loop(own, taker.agent, work.task, (*instructions, *said))
        if result.ended == "handed_over":
            result = await _handed_over(next_work, own, result)
    return result


def _answers_at_once(work: Work[T], job: Job, line: FinishLine) -> bool:
    """Tell whether the first call is itself a final answer, of the model that `line` was made for.

    Then it may have what is kept for one. Calls of tools, summaries and halves of JSON objects are no answers, nor
    is a call that a deadline cancels.
    """
    if work.tools or job.tools or work.resilience.on_overflow == "summarise" or job.deadline is not None:
        return False
    return job.output_schema is None and list(job.backends) == [line.backend.card.name]


async def _found(work: Work[T], job: Job) -> tuple[tuple[Tool, ...], Mapping[str, str]]:
    """Return the tools that the search finds for the task, and by key why the others are passed over."""
    if work.tool_search is None:
        return work.tools, {}
    handing = tuple(tool for tool in work.tools if tool.hands_over)  # who else is there is always said
    tools = tuple(tool for tool in work.tools if not tool.hands_over)
    asked = [message.text for message in job.history if message.role == "user"][-1:]  # "and cancel it"
    need = "\n".join((*asked, work.task))
    found = await work.tool_search.shortlist(
        tools, need, job.scope, lambda why: job.emit(Failed("tool_search", why))
    )
    kept = {tool.name for tool in found}
    why = f"not among the {work.tool_search.top} tools found for the task"
    return (*found, *handing), {key_of(tool): why for tool in tools if tool.name not in kept}


def _equipped(job: Job, selection: Selection, planned: frozenset[str]) -> Job:
    """Return the job with nothing but what was chosen, and the tools that the plan calls."""
    chosen = selection.chosen
    return replace(
        job,
        backends={name: backend for name, backend in job.backends.items() if f"model:{name}" in chosen},
        tools=Registry(tool for tool in job.tools if key_of(tool) in chosen or tool.name in planned),
    )


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
        tool_making=_accounted(work, job, ending, spent),
    )


def _accounted(work: Work[T], job: Job, ending: Ending, spent: Cost) -> MadeFor | None:
    """Count what the task cost with or without a made tool; a task that was cut short tells nothing."""
    dispatch = job.progress.dispatch
    if work.tool_making is None or dispatch is None:
        return None
    complete = ending.status == "complete"
    economics = work.tool_making.note(dispatch, spent.minus(dispatch.making)) if complete else None
    tool = None if dispatch.tool is None else dispatch.tool.name
    return MadeFor(dispatch.family, tool, dispatch.reason, dispatch.making, economics)


def _ended(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """A conversation ends with the answer; one that was stopped at a tool's result gets it appended."""
    if not messages or messages[-1].role == "assistant":
        return messages
    return (*messages, assistant(text))
