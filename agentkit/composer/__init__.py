"""The composer: which components a run is equipped with, under its budget.

What a run does not use unasked is loaded when it is named.
"""

from typing import TYPE_CHECKING

from agentkit.composer.base import Composer
from agentkit.composer.knapsack import KnapsackComposer
from agentkit.lazy import load_lazily

if TYPE_CHECKING:
    from agentkit.composer.coverage import CoverageComposer
    from agentkit.composer.trials import AgentSandbox, Sandbox, Solver, Verdict
    from agentkit.composer.try_first import TryFirst

__getattr__ = load_lazily(
    __name__,
    {
        "CoverageComposer": "agentkit.composer.coverage",
        "AgentSandbox": "agentkit.composer.trials",
        "Sandbox": "agentkit.composer.trials",
        "Solver": "agentkit.composer.trials",
        "Verdict": "agentkit.composer.trials",
        "TryFirst": "agentkit.composer.try_first",
    },
)

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
