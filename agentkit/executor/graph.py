"""Carries out a plan of several steps, given beforehand."""

from __future__ import annotations

from dataclasses import replace

from agentkit.errors import PlanError
from agentkit.executor.job import Job
from agentkit.executor.plan_run import run_plan
from agentkit.executor.purse import Purse
from agentkit.executor.shares import Shares
from agentkit.executor.steps import Steps
from agentkit.executor.tool_loop import StepResult, opening
from agentkit.executor.transcript import Transcript
from agentkit.planner import Plan
from agentkit.planner.check import problems_of_use


async def work_graph(job: Job, task: str, plan: Plan) -> StepResult:
    """Carry out `plan` for `task`; its result has a conversation that is valid, also when it is cut short.

    Raises PlanError for a call that none of the tools takes, before anything is spent on the plan.
    """
    _check(job, plan)
    last, transcript = plan.steps[-1], Transcript()
    steps = Steps(job, Shares(job.scope, last.id), transcript, last.id)
    steps.expect(*plan.steps)
    try:
        result = await run_plan(plan, steps, Purse.of(job))
    finally:
        if not job.progress.messages:  # the last step has one of its own if it is a tool loop
            job.progress.messages = (*opening(job, task), *transcript.messages())
    result = replace(result, messages=job.progress.messages)
    if last.call is not None and result.ended == "answered" and (problems := tuple(job.check(result.text))):
        return replace(result, ended="invalid_output", problems=problems)
    return result


def _check(job: Job, plan: Plan) -> None:
    for step in plan.steps:
        for use in filter(None, (step.call, step.on_failure.fallback)):
            if problems := problems_of_use(use, job.tools):
                raise PlanError(f"step {step.id!r} cannot be run: {problems[0]}")
