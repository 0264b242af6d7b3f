"""Matrix factorisation with the query's features on one side (after EmbedLLM, arXiv 2410.02223, and RouteLLM's
MF).

    ŷ_m(x) = b_m + v_m · (Wx)

with model vectors v_m of a few dimensions, taken from the truncated singular value decomposition of the centred
score matrix, and W by ridge regression with one penalty for all dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.linear import ridge
from agentkit.routers.estimators.table import Floats

RANK = 8


@dataclass(frozen=True, slots=True)
class Factors:
    """The map of features (d, rank), the models' vectors (rank, models) and biases (models,)."""

    projection: Floats
    vectors: Floats
    bias: Floats

    @classmethod
    def fit(cls, features: Floats, scores: Floats, *, rank: int = RANK) -> Fit:
        """Fit on `scores`, shape (queries, models), NaN where unknown; needs scikit-learn."""
        full = fill(scores)
        mean = full.mean(axis=0)
        vectors = np.linalg.svd(full - mean, full_matrices=False)[2][: min(rank, full.shape[1])]
        projection, offset, held_out = ridge(features, (full - mean) @ vectors.T, shared=True)
        return Fit(cls(projection, vectors, mean + offset @ vectors), mean + held_out @ vectors)

    def predict(self, features: Floats) -> Floats:
        """Return the predicted scores, not clipped."""
        return features @ self.projection @ self.vectors + self.bias
