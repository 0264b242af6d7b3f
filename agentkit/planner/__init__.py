"""The planner: what steps a task takes."""

from agentkit.planner.base import Plan, Planner, Step
from agentkit.planner.single import SingleStepPlanner

__all__ = ["Plan", "Planner", "SingleStepPlanner", "Step"]
