"""Runs a plan: every step starts the moment what it needs is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from agentkit.executor.tool_loop import StepResult
from agentkit.planner import Plan, Step

StepRunner = Callable[[Step, str], Awaitable[StepResult]]
"""Runs one step on a task text; handed in from above, so that a step may be an agent."""


async def run_plan(plan: Plan, run_step: StepRunner) -> StepResult:
    """Run `plan` and return the result of its last step; the first step that raises cancels the others."""
    if len(plan.steps) == 1:  # no task group for the common case
        return await run_step(plan.steps[0], plan.steps[0].task)
    return await _PlanRun(plan, run_step).run()


class _PlanRun:
    """Counts by step what is still missing; a step whose count reaches 0 starts."""

    def __init__(self, plan: Plan, run_step: StepRunner) -> None:
        self._plan, self._run_step = plan, run_step
        self._missing = {step.id: len(step.needs) for step in plan.steps}
        self._results: dict[str, StepResult] = {}
        self._failure: Exception | None = None

    async def run(self) -> StepResult:
        async with anyio.create_task_group() as group:
            for step in self._plan.steps:
                if not step.needs:
                    group.start_soon(self._finish, step, group)
        if self._failure is not None:
            raise self._failure
        return self._results[self._plan.steps[-1].id]

    async def _finish(self, step: Step, group: TaskGroup) -> None:
        try:
            self._results[step.id] = await self._run_step(step, self._task_of(step))
        except Exception as error:
            # kept and raised outside the group, so that the caller sees the error and not a group of one
            self._failure = self._failure or error
            group.cancel_scope.cancel()
            return
        for waiting in self._plan.steps:
            if step.id in waiting.needs:
                self._missing[waiting.id] -= 1
                if self._missing[waiting.id] == 0:
                    group.start_soon(self._finish, waiting, group)

    def _task_of(self, step: Step) -> str:
        """A step reads the answers it needs above its own task."""
        known = "\n".join(f"{need}: {self._results[need].text}" for need in step.needs)
        return f"{known}\n\n{step.task}" if known else step.task
