"""Plans: steps and what each needs; and the protocol of what makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentkit.catalog import Selection
from agentkit.errors import PlanError
from agentkit.types import ScopeView


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work, done by a tool loop; `needs` are the ids of steps whose answers it is given."""

    id: str
    task: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A directed acyclic graph of steps; the answer of the last one is the answer of the run.

    Raises PlanError for no steps, a doubled id, a doubled or unknown need, and a cycle.
    """

    steps: tuple[Step, ...]
    reason: str

    def __post_init__(self) -> None:
        if not self.steps:
            raise PlanError("a plan needs at least one step")
        done: set[str] = set()
        known = {step.id for step in self.steps}
        if len(known) < len(self.steps):
            raise PlanError("two steps of the plan have the same id; give each its own")
        if any(len(set(step.needs)) < len(step.needs) for step in self.steps):
            raise PlanError("a step of the plan names a need twice; name it once")
        waiting = list(self.steps)
        while waiting:
            ready = [step for step in waiting if set(step.needs) <= done]
            if not ready:
                unknown = sorted({need for step in waiting for need in step.needs} - known)
                why = f"unknown steps {unknown} are needed" if unknown else "its steps need each other in a circle"
                raise PlanError(f"the plan cannot be run: {why}; every need must be the id of another step")
            done |= {step.id for step in ready}
            waiting = [step for step in waiting if step.id not in done]


class Planner(Protocol):
    """Makes the plan of a task."""

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return the plan for `task` with the selected components under the budget that `view` shows."""
        ...
