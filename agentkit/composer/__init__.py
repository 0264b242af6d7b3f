"""The composer: which components a run is equipped with, under its budget."""

from agentkit.composer.base import Composer
from agentkit.composer.coverage import CoverageComposer
from agentkit.composer.knapsack import KnapsackComposer
from agentkit.composer.trials import AgentSandbox, Sandbox, Solver, Verdict
from agentkit.composer.try_first import TryFirst

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
