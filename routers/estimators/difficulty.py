"""How hard a query is for all models alike (the one-dimensional item response model, Rasch 1960, with features).

    ŷ_m(x) = x·β + b,   fitted to the mean score over models

for every model the same; calibration by model then gives each its own curve over that one scale. It has far fewer
parameters than a head by model, says nothing about who is good at what, and is often all that the text tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.linear import ridge
from agentkit.routers.estimators.table import Floats


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Coefficients (features,), and the intercept once for each model."""

    coefficients: Floats
    intercept: Floats

    @classmethod
    def fit(cls, features: Floats, scores: Floats) -> Fit:
        """Fit on `scores`, shape (queries, models), NaN where unknown; needs scikit-learn."""
        full = fill(scores)
        coefficients, intercept, held_out = ridge(features, full.mean(axis=1, keepdims=True))
        models = full.shape[1]
        return Fit(cls(coefficients[:, 0], np.repeat(intercept, models)), np.repeat(held_out, models, axis=1))

    def predict(self, features: Floats) -> Floats:
        """Return the same prediction for every model, not clipped."""
        return (features @ self.coefficients)[:, None] + self.intercept
