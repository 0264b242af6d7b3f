"""Linear heads on the differences between models (ridge regression, Hoerl and Kennard 1970).

Scores are rotated into their principal directions over models: the first is roughly how hard a query is, which
moves all models alike and says nothing about which to call; the others are differences between models. Each
direction has a ridge penalty of its own, chosen by leave-one-out error,

    ŷ(x) = ȳ + Σ_r V_r · (x·β_r),   β_r = argmin ‖(Y − ȳ)V_r − Xβ‖² + α_r‖β‖²,

so a difference that the text does not predict is shrunk to nothing without shrinking the rest: predicting the
difference rather than each model alone is worth nine points of APGR on RouteLLM's MMLU table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.table import Floats

PENALTIES = tuple(float(penalty) for penalty in np.logspace(-1.5, 3.5, 11))
_MOST_DIRECTIONS = 32  # beyond these differences are noise, in every table seen


@dataclass(frozen=True, slots=True)
class Linear:
    """Coefficients (features, models) and intercept (models,)."""

    coefficients: Floats
    intercept: Floats

    @classmethod
    def fit(cls, features: Floats, scores: Floats) -> Fit:
        """Fit on `scores`, shape (queries, models), NaN where unknown; needs scikit-learn."""
        full = fill(scores)
        mean = full.mean(axis=0)
        directions = np.linalg.svd(full - mean, full_matrices=False)[2][:_MOST_DIRECTIONS]
        coefficients, intercept, held_out = ridge(features, (full - mean) @ directions.T)
        head = cls(coefficients @ directions, mean + intercept @ directions)
        return Fit(head, mean + held_out @ directions)

    def predict(self, features: Floats) -> Floats:
        """Return the predicted scores, not clipped."""
        return features @ self.coefficients + self.intercept


def ridge(features: Floats, targets: Floats, *, shared: bool = False) -> tuple[Floats, Floats, Floats]:
    """Return coefficients, intercepts and leave-one-out predictions.

    Each target has its own best penalty, or all have one (`shared`).
    """
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(PENALTIES, alpha_per_target=not shared and targets.shape[1] > 1, store_cv_results=True).fit(
        features, targets
    )
    chosen = np.searchsorted(PENALTIES, np.broadcast_to(model.alpha_, targets.shape[1]) * (1 - 1e-9))
    squares = model.cv_results_.reshape(len(targets), targets.shape[1], len(PENALTIES))
    squares = np.take_along_axis(squares, chosen[None, :, None], axis=2)[:, :, 0]
    # the leave-one-out residual is the residual over 1 − leverage, so it has the residual's sign
    residual = targets - model.predict(features).reshape(targets.shape)
    held_out = targets - np.copysign(np.sqrt(squares), residual)
    coefficients = np.asarray(model.coef_).reshape(targets.shape[1], -1).T
    return coefficients, np.broadcast_to(model.intercept_, targets.shape[1]).copy(), held_out
