"""Routers: which model to call next, or to stop."""

from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.routers.rules import RuleRouter

__all__ = [
    "Call",
    "Decision",
    "Estimate",
    "Estimator",
    "Outcome",
    "Query",
    "Router",
    "RuleRouter",
    "Stop",
]
