"""Plans: steps and what each needs; and the protocol of what makes them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Protocol

from agentkit.catalog import Selection
from agentkit.errors import PlanError
from agentkit.planner.policy import OnFailure, Planning
from agentkit.planner.tool_use import ToolUse
from agentkit.types import ScopeView

STEP_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""Ids are part of scope names and of the tool calls in a conversation."""


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work: a tool call (`call`), else `task`, done by a tool loop.

    `needs` are the ids of steps that come first; a task is given their answers, a call those it refers to, which
    need not be named again. With more than one of `proposals` each answer is verified before it stands
    (`bats.py`); with `planning` a model plans the task (`llm.py`). What is free when the step starts is split
    among it and the steps to come by `weight`, which is how hard each is; `share` caps what it may spend as a part
    of that instead. `seconds` is how long it is likely to take. Of weights and seconds only ratios matter.
    """

    id: str
    task: str = ""
    needs: tuple[str, ...] = ()
    proposals: int = 1
    call: ToolUse | None = None
    on_failure: OnFailure = OnFailure()
    share: float | None = None
    weight: float = 1.0
    seconds: float = 1.0
    planning: Planning | None = None

    def __post_init__(self) -> None:
        if not STEP_ID.fullmatch(self.id):
            raise PlanError(f"step id {self.id!r}: take letters, digits, '_' and '-', 40 at most")
        if self.share is not None and not 0 < self.share <= 1:
            raise PlanError(f"step {self.id!r}: a share is above 0 and at most 1, not {self.share!r}")
        if not 0 < self.weight < math.inf:
            raise PlanError(f"step {self.id!r}: a weight is above 0, not {self.weight!r}")
        if not self.seconds >= 0:
            raise PlanError(f"step {self.id!r}: seconds must be 0 or more, not {self.seconds!r}")
        if len(set(self.needs)) < len(self.needs):
            raise PlanError(f"step {self.id!r} names a need twice; name it once")
        if self.call is not None or self.on_failure.fallback is not None:
            uses = (use for use in (self.call, self.on_failure.fallback) if use is not None)
            referred = [ref.step for use in uses for _, ref in use.references]
            object.__setattr__(self, "needs", tuple(dict.fromkeys((*self.needs, *referred))))


@dataclass(frozen=True, slots=True)
class Plan:
    """A directed acyclic graph of steps; the answer of the last one is the answer of the run.

    At most `concurrency` of them run at a time, None for as many as are ready. Raises PlanError for no steps, a
    doubled id, an unknown need, and a cycle.
    """

    steps: tuple[Step, ...]
    reason: str = "a plan that was given"
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if not self.steps:
            raise PlanError("a plan needs at least one step")
        if self.concurrency is not None and self.concurrency < 1:
            raise PlanError(f"at least one step runs at a time, not {self.concurrency}")
        if len(self.steps) > 1 and any(step.planning for step in self.steps):
            raise PlanError("a step that a model plans stands alone in its plan")
        missing = {step.id: len(step.needs) for step in self.steps}
        if len(missing) < len(self.steps):
            raise PlanError("two steps of the plan have the same id; give each its own")
        if unknown := sorted({need for step in self.steps for need in step.needs} - missing.keys()):
            raise self._unrunnable(f"unknown steps {unknown} are needed")
        dependents: dict[str, list[str]] = {}
        for step in self.steps:
            for need in step.needs:
                dependents.setdefault(need, []).append(step.id)
        done = [step for step, count in missing.items() if not count]
        for step_id in done:  # which grows meanwhile
            for waiting in dependents.get(step_id, ()):
                missing[waiting] -= 1
                if not missing[waiting]:
                    done.append(waiting)
        if len(done) < len(self.steps):
            raise self._unrunnable("its steps need each other in a circle")

    @property
    def tools(self) -> frozenset[str]:
        """The tools that its steps call."""
        uses = (use for step in self.steps for use in (step.call, step.on_failure.fallback) if use is not None)
        return frozenset(use.tool for use in uses)

    @staticmethod
    def _unrunnable(why: str) -> PlanError:
        return PlanError(f"the plan cannot be run: {why}; every need must be the id of another step")


class Planner(Protocol):
    """Makes the plan of a task."""

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return the plan for `task` with the selected components under the budget that `view` shows."""
        ...
