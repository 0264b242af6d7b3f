"""The planner: what steps a task takes.

Planners that are not the default are loaded when they are named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentkit.planner.base import Plan, Planner, Step
from agentkit.planner.policy import OnFailure
from agentkit.planner.single import SingleStepPlanner
from agentkit.planner.tool_use import Ref, ToolUse

if TYPE_CHECKING:
    from agentkit.planner.bats import BudgetAware
    from agentkit.planner.fixed import FixedPlanner
    from agentkit.planner.llm import LLMPlanner

_HOME = {
    "BudgetAware": "agentkit.planner.bats",
    "FixedPlanner": "agentkit.planner.fixed",
    "LLMPlanner": "agentkit.planner.llm",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
