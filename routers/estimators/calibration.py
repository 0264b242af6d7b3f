"""From a head's prediction to a probability that can be taken at its word, by model.

Two maps, both fitted on held-out predictions p with scores y:

- beta calibration (Kull, Silva Filho, Flach, AISTATS 2017): logit q = a·ln p − b·ln(1 − p) + c with a, b ≥ 0,
  three numbers that a hundred queries can carry;
- isotonic regression (Zadrozny and Elkan, KDD 2002): the monotone step function of least squared error, for
  thousands.

A fractional score counts as a success of that weight. A map is kept as its values on a grid of predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agentkit.routers.estimators.table import Floats

Method = Literal["beta", "isotonic"]
GRID = np.linspace(0.0, 1.0, 101)
_EDGE = 0.01  # predictions this close to 0 and 1 are taken for it: a logarithm must not be led by one query
_PSEUDO = 1.0  # a success and a failure that nobody saw
_STRENGTH = 10.0  # inverse of the penalty on a and b, so that few queries do not give a cliff


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrated probability at each of GRID's predictions, shape (101, models)."""

    values: Floats

    @classmethod
    def fit(cls, predicted: Floats, scores: Floats, method: Method = "beta") -> Calibration:
        """Fit a map for each column; `predicted` must not have seen `scores`, NaN where unknown."""
        fit = _beta if method == "beta" else _isotonic
        columns = []
        for column in range(scores.shape[1]):
            known = ~np.isnan(scores[:, column])
            columns.append(fit(np.clip(predicted[known, column], 0, 1), scores[known, column]))
        return cls(np.stack(columns, axis=1))

    @classmethod
    def identity(cls, models: int) -> Calibration:
        """Return the map that changes nothing."""
        return cls(np.repeat(GRID[:, None], models, axis=1))

    def apply(self, predicted: Floats) -> Floats:
        """Return the calibrated probabilities, shape as `predicted`."""
        place = np.clip(predicted, 0.0, 1.0) * (len(GRID) - 1)
        below = np.minimum(place.astype(np.intp), len(GRID) - 2)
        column = np.arange(predicted.shape[-1])
        share = place - below
        calibrated: Floats = self.values[below, column] * (1 - share) + self.values[below + 1, column] * share
        return calibrated


def _beta(predicted: Floats, scores: Floats) -> Floats:
    from sklearn.linear_model import LogisticRegression

    if len(scores) < 2 or scores.min() == scores.max():
        return _base_rate(scores)
    features, grid = _logs(predicted), _logs(GRID)
    outcome, weight = np.repeat([0, 1], len(scores)), np.concatenate([1 - scores, scores])
    used = [0, 1]
    while used:
        doubled = np.concatenate([features[:, used]] * 2)
        kept = weight > 0
        model = LogisticRegression(C=_STRENGTH, solver="newton-cholesky").fit(
            doubled[kept], outcome[kept], weight[kept]
        )
        falling = [place for place, slope in zip(used, model.coef_[0], strict=True) if slope < 0]
        if not falling:  # the method drops a term that would make the map fall
            calibrated: Floats = model.predict_proba(grid[:, used])[:, 1]
            return calibrated
        used = [place for place in used if place not in falling]
    return _base_rate(scores)


def _isotonic(predicted: Floats, scores: Floats) -> Floats:
    from sklearn.isotonic import IsotonicRegression

    if len(scores) < 2:
        return _base_rate(scores)
    # the two unseen queries keep the ends off 0 and 1, which no number of queries proves
    points: Any = np.concatenate([predicted, [0.0, 1.0]]), np.concatenate([scores, [0.0, 1.0]])
    map_ = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(*points)
    edge = _PSEUDO / (len(scores) + 2 * _PSEUDO)
    calibrated: Floats = np.clip(map_.predict(GRID), edge, 1 - edge)
    return calibrated


def _base_rate(scores: Floats) -> Floats:
    return np.full(len(GRID), (scores.sum() + _PSEUDO) / (len(scores) + 2 * _PSEUDO))


def _logs(predicted: Floats) -> Floats:
    inside = np.clip(predicted, _EDGE, 1 - _EDGE)
    return np.stack([np.log(inside), -np.log1p(-inside)], axis=1)
