"""Each model's mean score, whatever the query: what routing has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.table import Floats


@dataclass(frozen=True, slots=True)
class Constant:
    """The mean score by model, shape (models,)."""

    mean: Floats

    @classmethod
    def fit(cls, features: Floats, scores: Floats) -> Fit:
        """Fit on `scores`, shape (queries, models), NaN where unknown."""
        full = fill(scores)
        mean = full.mean(axis=0)
        others = max(len(full) - 1, 1)
        return Fit(cls(mean), (mean * len(full) - full) / others if len(full) > 1 else full)

    def predict(self, features: Floats) -> Floats:
        """Return the same row for every query."""
        return np.broadcast_to(self.mean, (len(features), len(self.mean))).copy()
