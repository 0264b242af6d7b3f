"""A share of the budget for each step of a plan, so that one step cannot starve the rest.

When a step starts, what is free is split by the concave allocator (`budgets/allocation.py`) among it and the steps
that have not started, by their weights; its part is the cap of the scope it runs in. What steps that still run may
yet spend is not free. A share is a cap and holds nothing, so what a step leaves over is free again when the next
one starts. A step that uses up its share ends with what it knows, and the plan goes on. Tool calls take no part,
since their price is known, but for agents and what has a `share` of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from agentkit.budgets import Scope, Tracker
from agentkit.budgets.allocation import allocate
from agentkit.budgets.allocation_plan import weighted
from agentkit.errors import BudgetExceeded, Saturated
from agentkit.executor.finish_line import known_so_far
from agentkit.executor.job import Job, Progress
from agentkit.executor.tool_loop import StepResult
from agentkit.planner import Step
from agentkit.trace import Failed

_SPLIT = ("usd", "tokens", "input_tokens", "output_tokens", "gpu_us", "kv_byte_seconds")
"""Resources that can be split; calls are too few, so they go to whoever comes first."""
_UNITS_PER_STEP = 20


class Shares:
    """The shares of the steps of one plan, below the scope of its run; `last` is the step that has the answer."""

    def __init__(self, scope: Scope, last: str | None = None) -> None:
        self._scope, self._last = scope, last
        self._waiting: dict[str, float] = {}  # the weights of the steps that have not started
        self._running: list[Scope] = []
        self._opened: Counter[str] = Counter()

    def expect(self, step: Step) -> None:
        """Count `step` among those that a part is kept for; one with a `share` of its own needs none kept."""
        if step.share is None:
            self._waiting[step.id] = step.weight

    async def run(self, job: Job, step: Step, work: Callable[[Job], Awaitable[StepResult]]) -> StepResult:
        """Run `work` within the share of `step`; only the last one raises when that is used up."""
        scope = self._open(step)
        own = replace(job, scope=scope, progress=Progress(), tracker=Tracker())
        try:
            async with scope:
                return await work(own)
        except (BudgetExceeded, Saturated) as error:
            if step.id == self._last or error.scope != scope.name:
                raise
            job.emit(Failed(f"step:{step.id}", str(error)))
            return StepResult(known_so_far(own), "limit", own.progress.messages, (str(error),))
        finally:
            self._running.remove(scope)
            job.progress.facts.extend(own.progress.facts)
            if step.id == self._last:
                job.progress.messages = own.progress.messages

    def _open(self, step: Step) -> Scope:
        free = self._free()
        if step.share is not None:
            cap = {name: int(room * step.share) for name, room in free.items()}
        else:
            self._waiting.setdefault(step.id, step.weight)  # it may be tried again
            units = _UNITS_PER_STEP * len(self._waiting)
            split = allocate(weighted(list(self._waiting.values())), units)
            share = dict(zip(self._waiting, split.units, strict=True))[step.id]
            del self._waiting[step.id]
            cap = {name: room * share // units for name, room in free.items()}
        self._opened[step.id] += 1
        tries = self._opened[step.id]
        scope = self._scope.share(cap, step.id if tries == 1 else f"{step.id}.{tries}")
        self._running.append(scope)
        return scope

    def _free(self) -> Mapping[str, int]:
        """Return what neither is spent or held nor belongs to a step that runs."""
        available = self._scope.view().available
        free = {name: available[name] for name in _SPLIT if name in available}
        for view in (scope.view() for scope in self._running):
            for name in free.keys() & view.limits.keys():
                free[name] -= view.limits[name] - view.spent[name] - view.held[name]
        return {name: max(0, room) for name, room in free.items()}
