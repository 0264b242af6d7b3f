"""The default planner: one step that works with a tool loop (ReAct)."""

from __future__ import annotations

from agentkit.catalog import Selection
from agentkit.planner.base import Plan, Step
from agentkit.types import ScopeView


class SingleStepPlanner:
    """Plans every task as one tool loop; it costs nothing."""

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return the plan of one step."""
        return Plan((Step("main", task),), "one tool loop")
