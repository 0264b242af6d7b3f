"""Ways to choose components that the default composer is measured against (`agentkit bench compose`)."""

from agentkit.evals.baselines.composers.first_fit import FirstFit
from agentkit.evals.baselines.composers.identity import Identity
from agentkit.evals.baselines.composers.multiple_choice import MultipleChoice
from agentkit.evals.baselines.composers.retrieval import Retrieval
from agentkit.evals.baselines.composers.similarity_ilp import SimilarityIlp
from agentkit.evals.baselines.composers.try_all import TryAll
from agentkit.evals.baselines.composers.untried import Greedy, Masks, Untried
from agentkit.evals.baselines.composers.zcl import Zcl

__all__ = [
    "FirstFit",
    "Greedy",
    "Identity",
    "Masks",
    "MultipleChoice",
    "Retrieval",
    "SimilarityIlp",
    "TryAll",
    "Untried",
    "Zcl",
]
