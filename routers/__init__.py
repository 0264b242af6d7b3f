"""Routers: which model to call next, or to stop.

Routers that need to be fitted are loaded when they are named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentkit.routers.base import Ask, Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.routers.fallback import FallbackRouter
from agentkit.routers.rules import RuleRouter

if TYPE_CHECKING:
    from agentkit.routers.best_of import BestOfRouter
    from agentkit.routers.cascade_routing import CascadeRouter
    from agentkit.routers.conservative import ConservativeRouter
    from agentkit.routers.fastest import FastestRouter
    from agentkit.routers.fusion import FusionRouter
    from agentkit.routers.multi_round import MultiRoundRouter
    from agentkit.routers.preferences import Preferences
    from agentkit.routers.utility import UtilityRouter
    from agentkit.routers.votes import VoteRouter

_HOME = {
    "BestOfRouter": "agentkit.routers.best_of",
    "CascadeRouter": "agentkit.routers.cascade_routing",
    "ConservativeRouter": "agentkit.routers.conservative",
    "FastestRouter": "agentkit.routers.fastest",
    "FusionRouter": "agentkit.routers.fusion",
    "MultiRoundRouter": "agentkit.routers.multi_round",
    "Preferences": "agentkit.routers.preferences",
    "UtilityRouter": "agentkit.routers.utility",
    "VoteRouter": "agentkit.routers.votes",
}

__all__ = [
    "Ask",
    "BestOfRouter",
    "Call",
    "CascadeRouter",
    "ConservativeRouter",
    "Decision",
    "Estimate",
    "Estimator",
    "FallbackRouter",
    "FastestRouter",
    "FusionRouter",
    "MultiRoundRouter",
    "Outcome",
    "Preferences",
    "Query",
    "Router",
    "RuleRouter",
    "Stop",
    "UtilityRouter",
    "VoteRouter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
