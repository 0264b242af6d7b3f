"""A planner for work whose steps are known beforehand."""

from __future__ import annotations

from collections.abc import Callable

from agentkit.catalog import Selection
from agentkit.planner.base import Plan
from agentkit.types import ScopeView


class FixedPlanner:
    """Plans every task the same way, or as a function of its text says; it costs nothing."""

    def __init__(self, plan: Plan | Callable[[str], Plan]) -> None:
        self._plan = plan

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return the plan that was given."""
        return self.plan_of(task)

    def plan_of(self, task: str) -> Plan:
        """Return the plan that a run of `task` will carry out."""
        return self._plan if isinstance(self._plan, Plan) else self._plan(task)
