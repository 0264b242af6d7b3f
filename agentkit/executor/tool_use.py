"""Tool calls under the ledger: each is charged as it leaves; calls of one turn run side by side.

A tool has no usage record of its own, so its cost hint is its price and is known beforehand. Charging it at once
also means that a tool holds nothing while it runs: what it starts itself may wait for room.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    results: list[ToolResult | None] = [None] * len(calls)
    refusals: list[BudgetError] = []

    async def use(place: int, call: ToolCall) -> None:
        try:
            results[place] = await _use(job, call)
        except BudgetError as error:
            refusals.append(error)
            results[place] = ToolResult(call.id, call.name, f"Error: the budget ends here: {error}", is_error=True)

    if len(calls) == 1:  # no task group for the common case
        await use(0, calls[0])
    else:
        async with anyio.create_task_group() as group:
            for place, call in enumerate(calls):
                group.start_soon(use, place, call)
    return [result for result in results if result is not None], refusals[0] if refusals else None


def problems_of(job: Job, calls: Sequence[ToolCall]) -> tuple[str, ...]:
    """Return what is wrong with `calls` as written; nothing runs and nothing is spent."""
    found: list[str] = []
    for call in calls:
        try:
            parse_arguments(job.tools.get(call.name), call)
        except ToolError as error:
            found.append(str(error))
    return tuple(found)


async def _use(job: Job, call: ToolCall) -> ToolResult:
    job.emit(ToolStarted(call.id, call.name, call.arguments))
    try:
        tool = job.tools.get(call.name)
        parse_arguments(tool, call)  # a call that cannot run is not paid for
    except ToolError as error:
        return _finished(job, ToolResult(call.id, call.name, f"Error: {error}", is_error=True))
    await _pay(job, tool)
    try:
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
