"""The planner: what steps a task takes.

Planners that are not the default are loaded when they are named.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily
from agentkit.planner.base import Plan, Planner, Step
from agentkit.planner.policy import OnFailure
from agentkit.planner.single import SingleStepPlanner
from agentkit.planner.tool_use import Ref, ToolUse

if TYPE_CHECKING:
    from agentkit.planner.bats import BudgetAware
    from agentkit.planner.fixed import FixedPlanner
    from agentkit.planner.llm import LLMPlanner

__getattr__ = load_lazily(
    __name__,
    {
        "BudgetAware": "agentkit.planner.bats",
        "FixedPlanner": "agentkit.planner.fixed",
        "LLMPlanner": "agentkit.planner.llm",
    },
)

__all__ = [
    "BudgetAware",
    "FixedPlanner",
    "LLMPlanner",
    "OnFailure",
    "Plan",
    "Planner",
    "Ref",
    "SingleStepPlanner",
    "Step",
    "ToolUse",
]
