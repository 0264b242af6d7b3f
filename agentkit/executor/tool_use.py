"""Tool calls under the ledger: each is charged as it leaves; calls of one turn run side by side.

A tool has no usage record of its own, so its cost hint is its price and is known beforehand. Charging it at once
also means that a tool holds nothing while it runs: what it starts itself may wait for room.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import anyio

from agentkit.errors import BudgetError, BudgetExceeded, Saturated, ScopeFrozen, ToolError
from agentkit.executor.job import Job
from agentkit.executor.room import reserve
from agentkit.messages import ToolCall, ToolResult
from agentkit.tools import Tool, invoke, parse_arguments
from agentkit.trace import Reserved, Settled, ToolFinished, ToolStarted


async def use_tools(job: Job, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], BudgetError | None]:
    """Run `calls` side by side; one result for each, in order, and the budget's refusal if there was one.

    A call that fails does not touch its siblings: its error is its result.
    """
    # all are admitted before any runs: none was written with the result of another in sight
    problems = [await _admit(job, call) for call in calls]
    results: list[ToolResult | None] = [None] * len(calls)
    refusals: list[BudgetError] = []

    async def use(place: int, call: ToolCall) -> None:
        try:
            results[place] = await _use(job, call, problems[place])
        except BudgetError as error:
            refusals.append(error)
            results[place] = ToolResult(call.id, call.name, f"Error: the budget ends here: {error}", is_error=True)

    if len(calls) == 1:  # no task group for the common case
        await use(0, calls[0])
    else:
        async with anyio.create_task_group() as group:
            for place, call in enumerate(calls):
                group.start_soon(use, place, call)
    ended = [result for result in results if result is not None]
    _observe(job, [result for result, problem in zip(ended, problems, strict=True) if problem is None])
    return ended, refusals[0] if refusals else None


def problems_of(job: Job, calls: Sequence[ToolCall]) -> tuple[str, ...]:
    """Return what is wrong with `calls` as written; nothing runs and nothing is spent."""
    found: list[str] = []
    for call in calls:
        try:
            parse_arguments(job.tools.get(call.name), call)
        except ToolError as error:
            found.append(str(error))
    return tuple(found)


async def use_tool(job: Job, call: ToolCall) -> ToolResult:
    """Run `call`; raises the refusal of the run's budget, what else goes wrong is the result."""
    problem = await _admit(job, call)
    result = await _use(job, call, problem)
    _observe(job, [] if problem else [result])
    return result


async def _admit(job: Job, call: ToolCall) -> ToolError | None:
    """Return why `call` may not run, None when it may."""
    try:
        tool = job.tools.get(call.name)
        parse_arguments(tool, call)
        if job.enforcer is not None:
            await job.enforcer.admit(tool, call)
    except ToolError as error:
        return error
    return None


def _observe(job: Job, results: Sequence[ToolResult]) -> None:
    """Tell the enforcer what tools gave back; one that was refused shows the model but its own words."""
    if job.enforcer is not None:
        for result in results:
            if result.is_error or not job.tools.get(result.name).hands_over:  # the latter say our words
                job.enforcer.observe(result)


async def _use(job: Job, call: ToolCall, problem: ToolError | None) -> ToolResult:
    job.emit(ToolStarted(call.id, call.name, call.arguments))
    if problem is not None:  # a call that cannot run is not paid for
        return _finished(job, ToolResult(call.id, call.name, f"Error: {problem}", is_error=True))
    tool = job.tools.get(call.name)
    await _pay(job, tool)
    try:
        with nullcontext() if job.enforcer is None else job.enforcer.around():
            result = await invoke(tool, call, job.context, job.scope)
    except BudgetError as error:
        if _is_of_this_run(job, error):
            raise
        # a budget of the tool's own is a failure of the tool like any other
        result = ToolResult(call.id, call.name, f"Error: {error}", is_error=True)
    job.progress.learn(call, result)
    return _finished(job, result)


def _is_of_this_run(job: Job, error: BudgetError) -> bool:
    """Tell whether the run's scope, one above it or one below it refused."""
    if not isinstance(error, BudgetExceeded | Saturated | ScopeFrozen):
        return False
    ours, refusing = f"{job.scope.name}/", f"{error.scope}/"
    return ours.startswith(refusing) or refusing.startswith(ours)


async def _pay(job: Job, tool: Tool) -> None:
    ticket = object()
    try:
        hold = await reserve(job, ticket, tool.hold, f"tool:{tool.name}")
        job.emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
        receipt = await hold.settle(tool.hold)
        job.emit(Settled(receipt.id, receipt.what, receipt.charged))
    finally:
        job.under_way.discard(ticket)


def _finished(job: Job, result: ToolResult) -> ToolResult:
    job.emit(ToolFinished(result.call_id, result.name, result.content, result.is_error))
    return result
