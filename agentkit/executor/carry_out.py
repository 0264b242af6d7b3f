"""Carries out the plan of a run: one tool loop, verified answers, steps given beforehand, or a model's plan."""

from __future__ import annotations

from agentkit.executor.job import Job
from agentkit.executor.tool_loop import StepResult, run_tool_loop
from agentkit.planner import Plan


async def carry_out(job: Job, task: str, plan: Plan) -> StepResult:
    """Carry out `plan` for `task`; raises PlanError for a step that cannot be run.

    One tool loop is the common case, which starts faster for what it does not load.
    """
    first = plan.steps[0]
    if len(plan.steps) > 1 or first.call is not None:
        from agentkit.executor.graph import work_graph

        return await work_graph(job, task, plan)
    if first.planning:
        from agentkit.executor.planned import work_by_plan

        return await work_by_plan(job, first)
    if first.proposals > 1:
        from agentkit.executor.proposals import work_on

        return await work_on(job, first, first.task)
    return await run_tool_loop(job, first.id, first.task)
