"""From a head's prediction to a probability that can be taken at its word, by model.

Two maps, both fitted on held-out predictions p with scores y:

- beta calibration (Kull, Silva Filho, Flach, AISTATS 2017): logit q = a·ln p − b·ln(1 − p) + c with a, b ≥ 0,
  three numbers that a hundred queries can carry;
- isotonic regression (Zadrozny and Elkan, KDD 2002): the monotone step function of least squared error, for
  thousands.

A fractional score counts as a success of that weight. A map is kept as its values on a grid of predictions, and
beta calibration is fitted on that grid too: each prediction is shared out between its two neighbours, and Newton's
method runs for all models at once, a hundredth of the time of a regression by model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agentkit.routers.estimators.table import Floats, Indices

Method = Literal["beta", "isotonic"]
GRID = np.linspace(0.0, 1.0, 101)
_EDGE = 0.01  # predictions this close to 0 and 1 are taken for it: a logarithm must not be led by one query
_PSEUDO = 1.0  # a success and a failure that nobody saw
_FORBIDDEN = 1e9  # penalty on a coefficient that is to be 0
_STEPS, _CLOSE = 50, 1e-6  # of Newton's method
_STRENGTH = 10.0  # inverse of the penalty on a and b, so that few queries do not give a cliff


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrated probability at each of GRID's predictions, shape (101, models)."""

    values: Floats

    @classmethod
    def fit(cls, predicted: Floats, scores: Floats, method: Method = "beta") -> Calibration:
        """Fit a map for each column; `predicted` must not have seen `scores`, NaN where unknown."""
        inside = np.clip(predicted, 0.0, 1.0)
        if method == "beta":
            return cls(_beta(inside, scores))
        columns = []
        for column in range(scores.shape[1]):
            known = ~np.isnan(scores[:, column])
            columns.append(_isotonic(inside[known, column], scores[known, column]))
        return cls(np.stack(columns, axis=1))

    @classmethod
    def identity(cls, models: int) -> Calibration:
        """Return the map that changes nothing."""
        return cls(np.repeat(GRID[:, None], models, axis=1))

    def apply(self, predicted: Floats) -> Floats:
        """Return the calibrated probabilities, shape as `predicted`."""
        below, share = _place(np.clip(predicted, 0.0, 1.0))
        column = np.arange(predicted.shape[-1])
        calibrated: Floats = self.values[below, column] * (1 - share) + self.values[below + 1, column] * share
        return calibrated


def _beta(predicted: Floats, scores: Floats) -> Floats:
    """Return the maps of all columns, shape (101, models)."""
    right, wrong = _on_grid(predicted, np.nan_to_num(scores)), _on_grid(predicted, 1 - scores)
    one_sided = np.minimum(right.sum(axis=0), wrong.sum(axis=0)) <= 0
    features = np.column_stack([_logs(GRID), np.ones(len(GRID))])
    used = np.ones((scores.shape[1], 2), dtype=np.bool_)
    coefficients = _newton(features, right.T, wrong.T, used)
    while (falling := used & (coefficients[:, :2] < 0)).any():  # the method drops a term that makes the map fall
        used &= ~falling
        coefficients = _newton(features, right.T, wrong.T, used)
    maps = 1 / (1 + np.exp(-(features @ coefficients.T)))
    rate = (right.sum(axis=0) + _PSEUDO) / (right.sum(axis=0) + wrong.sum(axis=0) + 2 * _PSEUDO)
    found: Floats = np.where(one_sided | ~used.any(axis=1), rate, maps)
    return found


def _on_grid(predicted: Floats, weights: Floats) -> Floats:
    """Return the weights by grid point and column, each shared out between two neighbours; NaN weighs nothing."""
    found = np.zeros((len(GRID), predicted.shape[1]))
    below, share = _place(predicted)
    weights, columns = np.nan_to_num(weights), np.broadcast_to(np.arange(predicted.shape[1]), predicted.shape)
    np.add.at(found, (below, columns), weights * (1 - share))
    np.add.at(found, (below + 1, columns), weights * share)
    return found


def _newton(features: Floats, right: Floats, wrong: Floats, used: Any) -> Floats:
    """Return penalised logistic coefficients by row of `right` and `wrong`, 0 where a feature is not `used`."""
    count = right + wrong
    penalty = np.column_stack([np.where(used, 1 / _STRENGTH, _FORBIDDEN), np.full(len(used), 1e-6)])
    found = np.zeros((len(right), features.shape[1]))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(found @ features.T, -30.0, 30.0)))
        gradient = (right - count * chance) @ features - penalty * found
        bend = np.einsum("mg,gi,gj->mij", count * chance * (1 - chance), features, features)
        bend[:, range(3), range(3)] += penalty
        step = np.clip(np.linalg.solve(bend, gradient[:, :, None])[:, :, 0], -1.0, 1.0)  # no overshooting
        found += step
        if np.abs(step).max() < _CLOSE:
            break
    return np.where(np.column_stack([used, np.ones(len(used), dtype=np.bool_)]), found, 0.0)


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


def _place(predicted: Floats) -> tuple[Indices, Floats]:
    """Return the grid point below each prediction, and how far it is on the way to the next one."""
    place = predicted * (len(GRID) - 1)
    below = np.minimum(place.astype(np.intp), len(GRID) - 2)
    return below, place - below


def _logs(predicted: Floats) -> Floats:
    inside = np.clip(predicted, _EDGE, 1 - _EDGE)
    return np.stack([np.log(inside), -np.log1p(-inside)], axis=1)
