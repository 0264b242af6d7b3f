"""Routers: which model to call next, or to stop.

Routers that need to be fitted are loaded when they are named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.routers.fallback import FallbackRouter
from agentkit.routers.rules import RuleRouter

if TYPE_CHECKING:
    from agentkit.routers.cascade_routing import CascadeRouter
    from agentkit.routers.utility import UtilityRouter

_HOME = {
    "CascadeRouter": "agentkit.routers.cascade_routing",
    "UtilityRouter": "agentkit.routers.utility",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
