"""The planner: what steps a task takes."""

from agentkit.planner.base import Plan, Planner, Step
from agentkit.planner.bats import BudgetAware
from agentkit.planner.fixed import FixedPlanner
from agentkit.planner.llm import LLMPlanner
from agentkit.planner.policy import OnFailure
from agentkit.planner.single import SingleStepPlanner
from agentkit.planner.tool_use import Ref, ToolUse

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
