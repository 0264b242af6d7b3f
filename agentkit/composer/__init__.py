"""The composer: which components a run is equipped with, under its budget."""

from agentkit.composer.base import Composer
from agentkit.composer.knapsack import KnapsackComposer

__all__ = ["Composer", "KnapsackComposer"]
