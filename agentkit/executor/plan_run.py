"""Runs a plan: every step starts the moment what it needs is done, the most critical one first.

Each step counts what it still misses; the last need that ends makes it ready, so nothing is polled and a step may
be added at any time, for instance while the rest of the plan is still being written. Of the ready steps the one
with the longest path to the end goes first (list scheduling with critical-path priority: R. L. Graham, SIAM J.
Appl. Math. 17, 1969). On m places with exact times that takes at most (2 - 1/m) times the shortest schedule.

Where the budget does not pay all tool calls, a call also waits until those on longer paths are paid for, unless
nothing else runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from heapq import heappop, heappush

import anyio
from anyio.abc import TaskGroup

from agentkit.errors import BudgetError, PlanError
from agentkit.executor.purse import Purse
from agentkit.executor.tool_loop import StepResult
from agentkit.planner import Plan, Step

Results = Mapping[str, StepResult]
"""By step, what has been done so far."""
StepRunner = Callable[[Step, Results], Awaitable[StepResult]]
"""Runs one step, given what is done; handed in from above, so that a step may be an agent."""


async def run_plan(plan: Plan, run_step: StepRunner, purse: Purse | None = None) -> StepResult:
    """Run `plan` and return the result of its last step, or of the step that ended it early.

    The first step that raises cancels the others, but for a refusal of the budget: then what runs is finished.
    """
    run = PlanRun(run_step, plan.concurrency, purse)

    async def whole(run: PlanRun) -> None:
        run.add(*plan.steps)

    await run.run(whole)
    return run.ended_by or run.results[plan.steps[-1].id]


class PlanRun:
    """A plan under way, after the steps `done` before it.

    `ended_by` is the failure of a `fail_fast` step, if one ended it.
    """

    def __init__(
        self,
        run_step: StepRunner,
        concurrency: int | None = None,
        purse: Purse | None = None,
        done: Results | None = None,
    ) -> None:
        self.results = dict(done or {})
        self.ended_by: StepResult | None = None
        self._run_step, self._concurrency, self._purse = run_step, concurrency, purse or Purse({})
        self._steps: dict[str, Step] = {}
        self._places: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {}
        self._path: dict[str, float] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._unstarted: dict[str, None] = {}
        self._running = 0
        self._stopped = False
        self._failure: Exception | None = None
        self._group: TaskGroup | None = None

    async def run(self, feed: Callable[[PlanRun], Awaitable[None]]) -> None:
        """Run what `feed` adds, and return when `feed` and all steps are done.

        Raises what a step raised, or `feed`.
        """
        async with anyio.create_task_group() as self._group:
            try:
                await feed(self)
            except Exception as error:
                self._fail(error)
        if self._failure is not None:
            raise self._failure

    def add(self, *steps: Step) -> None:
        """Add steps, each after what it needs or together with it; those that miss nothing start."""
        for step in steps:
            if step.id in self._steps:
                raise PlanError(f"there is a step {step.id!r} already")
            self._steps[step.id] = step
            self._places[step.id] = len(self._places)
            self._unstarted[step.id] = None
            self._purse.expect(step)
        for step in steps:
            missing = [need for need in step.needs if need not in self.results]
            for need in missing:
                if need not in self._steps:
                    raise PlanError(f"step {step.id!r} needs {need!r}, which is not in the plan")
                self._dependents.setdefault(need, []).append(step.id)
            self._missing[step.id] = len(missing)
        for step in reversed(steps):  # a step mostly follows what it needs, so its path is known in one pass
            self._lengthen(step.id, 0.0)
        self._start()

    def _lengthen(self, step_id: str, behind: float) -> None:
        """Note that the path from `step_id` to the end goes on for `behind` seconds after it."""
        longer = [(step_id, behind)]
        while longer:
            step_id, behind = longer.pop()
            step = self._steps[step_id]
            length = step.seconds + behind
            if length > self._path.get(step_id, -1.0):
                self._path[step_id] = length
                if step_id in self._unstarted and not self._missing[step_id]:
                    self._make_ready(step_id)  # perhaps again, further in front
                longer += [(need, length) for need in step.needs if need not in self.results]

    def _make_ready(self, step_id: str) -> None:
        heappush(self._ready, (-self._path[step_id], self._places[step_id], step_id))

    def _start(self) -> None:
        """Start what may start now."""
        assert self._group is not None
        while (step := self._next()) is not None:
            self._group.start_soon(self._work, step)

    def _next(self) -> Step | None:
        """Take the ready step with the longest path; None while there is no place or no money for it."""
        if self._stopped or self._running == self._concurrency:
            return None
        while self._ready:
            step_id = self._ready[0][2]
            if step_id in self._unstarted:
                step = self._steps[step_id]
                if self._running and not self._purse.pays(step, self._ahead):
                    return None
                heappop(self._ready)
                del self._unstarted[step_id]
                self._purse.spend(step)
                self._running += 1
                return step
            heappop(self._ready)
        return None

    def _ahead(self, step: Step) -> list[Step]:
        """Return the steps on longer paths that have not started."""
        path = self._path[step.id]
        return [self._steps[other] for other in self._unstarted if self._path[other] > path]

    async def _work(self, step: Step | None) -> None:
        """Run `step`, then whatever is next, so that a chain of steps takes one task."""
        while step is not None:
            try:
                result = await self._run_step(step, self.results)
            except Exception as error:
                self._running -= 1
                self._fail(error)
                return
            self._running -= 1
            self._finish(step, result)
            step = self._next()
            self._start()

    def _finish(self, step: Step, result: StepResult) -> None:
        self.results[step.id] = result
        if result.ended == "failed" and step.on_failure.then == "fail_fast":
            self.ended_by = self.ended_by or result
            self._cancel()
            return
        for waiting in self._dependents.pop(step.id, ()):
            self._missing[waiting] -= 1
            if not self._missing[waiting]:
                self._make_ready(waiting)

    def _fail(self, error: Exception) -> None:
        # kept and raised outside the group, so that the caller sees the error and not a group of one
        self._failure = self._failure or error
        if isinstance(error, BudgetError):
            self._stopped = True  # what runs is paid for and may end
        else:
            self._cancel()

    def _cancel(self) -> None:
        self._stopped = True
        assert self._group is not None
        self._group.cancel_scope.cancel()
