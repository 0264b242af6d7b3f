"""Routers: which model to call next, or to stop.

Routers that need to be fitted are loaded when they are named.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily
from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.routers.fallback import FallbackRouter
from agentkit.routers.rules import RuleRouter

if TYPE_CHECKING:
    from agentkit.routers.cascade_routing import CascadeRouter
    from agentkit.routers.utility import UtilityRouter

__getattr__ = load_lazily(
    __name__,
    {
        "CascadeRouter": "agentkit.routers.cascade_routing",
        "UtilityRouter": "agentkit.routers.utility",
    },
)

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
