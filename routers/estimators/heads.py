"""What every quality head is: fitted arrays that predict a score by model from a query's features.

Each head lives in its own file as a frozen dataclass whose fields are arrays, so that any of them can be kept in
an artefact, with `fit` that also returns what it predicts on the training queries *without* having seen them.
These held-out predictions are what calibration and the choice between heads are based on.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from agentkit.routers.estimators.table import Floats


class Head(Protocol):
    """Predicts the score of each model; features are (queries, d), scores (queries, models)."""

    def predict(self, features: Floats) -> Floats:
        """Return the predicted scores."""
        ...


class Fit(NamedTuple):
    """A fitted head, and its predictions on the training queries, none made by a fit that had seen the query."""

    head: Any
    held_out: Floats


def fill(scores: Floats) -> Floats:
    """Return `scores` with missing pairs filled by query mean + model mean − mean; columns wholly missing by the
    mean.

    Only for fits that need a full matrix; filled pairs are never calibrated or measured on.
    """
    known = ~np.isnan(scores)
    if known.all():
        return scores
    mean = float(scores[known].mean()) if known.any() else 0.5
    by_query, by_model = _mean(scores, known, 1, mean), _mean(scores, known, 0, mean)
    return np.where(known, np.nan_to_num(scores), np.clip(by_query[:, None] + by_model - mean, 0.0, 1.0))


def _mean(scores: Floats, known: Any, axis: int, otherwise: float) -> Floats:
    total, count = np.where(known, scores, 0.0).sum(axis=axis), known.sum(axis=axis)
    means: Floats = np.where(count > 0, total / np.maximum(count, 1), otherwise)
    return means
