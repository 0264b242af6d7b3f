"""Routers: which model to call next, or to stop."""

from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.fallback import FallbackRouter
from agentkit.routers.rules import RuleRouter
from agentkit.routers.utility import UtilityRouter

__all__ = [
    "Call",
    "CascadeRouter",
    "Decision",
    "Estimate",
    "Estimator",
    "FallbackRouter",
    "Outcome",
    "Query",
    "Router",
    "RuleRouter",
    "Stop",
    "UtilityRouter",
]
