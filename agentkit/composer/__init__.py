"""The composer: which components a run is equipped with, under its budget.

What a run does not use unasked is loaded when it is named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentkit.composer.base import Composer
from agentkit.composer.knapsack import KnapsackComposer

if TYPE_CHECKING:
    from agentkit.composer.coverage import CoverageComposer
    from agentkit.composer.trials import AgentSandbox, Sandbox, Solver, Verdict
    from agentkit.composer.try_first import TryFirst

_HOME = {
    "CoverageComposer": "agentkit.composer.coverage",
    "AgentSandbox": "agentkit.composer.trials",
    "Sandbox": "agentkit.composer.trials",
    "Solver": "agentkit.composer.trials",
    "Verdict": "agentkit.composer.trials",
    "TryFirst": "agentkit.composer.try_first",
}

__all__ = [
    "AgentSandbox",
    "Composer",
    "CoverageComposer",
    "KnapsackComposer",
    "Sandbox",
    "Solver",
    "TryFirst",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
