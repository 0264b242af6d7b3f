"""Hand-over: another agent goes on with a conversation, paid by the run that it began in."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from agentkit.equipment import compose, equipped, with_sources
from agentkit.executor import Job, StepResult
from agentkit.executor.tool_loop import run_tool_loop
from agentkit.messages import system
from agentkit.trace import Planned
from agentkit.work import Work, job_of


async def hand_over(work: Work[Any], job: Job, result: StepResult) -> StepResult:
    """Go on with the conversation as the agent it was handed over to, in the same scope and to the same deadline.

    The answer is held to the output type that was asked for, and calls to the policies of both. The last agent
    that the limit allows is not offered to hand it on. The taker's planner and tool making are for tasks of its
    own: here a conversation goes on.
    """
    taker: Work[Any] = work.handoffs[result.taker]()
    taker = replace(taker, task=work.task, history=work.history, budget=work.budget)
    left = work.max_handoffs - 1
    if not left:
        taker = replace(taker, tools=tuple(tool for tool in taker.tools if not tool.hands_over))
    async with AsyncExitStack() as cleanup:
        if job.enforcer is not None:
            cleanup.enter_context(job.enforcer.around())
        taker = await with_sources(taker, cleanup)
        next_work = replace(taker, output=work.output, max_handoffs=left)
        own = job_of(next_work, job.scope, job.trace, job.deadline, job.under_way)
        own = replace(own, tracker=job.tracker, progress=job.progress)
        job.emit(Planned({taker.agent: ()}, f"{work.agent} hands over to {taker.agent}"))
        own = equipped(own, await compose(next_work, own))
        instructions = (system(own.instructions),) if own.instructions else ()
        said = (message for message in result.messages if message.role != "system")
        result = await run_tool_loop(own, taker.agent, work.task, (*instructions, *said))
        if result.ended == "handed_over":
            result = await hand_over(next_work, own, result)
    return result
