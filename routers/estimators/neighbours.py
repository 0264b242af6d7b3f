"""The mean score of the nearest training queries (k nearest neighbours; arXiv 2505.12601 for routing).

    ŷ(x) = (Σ_{i ∈ N_k(x)} y_i + κȳ) / (k + κ)

by cosine similarity; κ pseudo-observations of the overall mean keep a few neighbours from deciding. k is chosen by
leave-one-out error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.table import Floats

SIZES = (10, 20, 40, 80, 160)
_PRIOR = 5.0  # κ
_BLOCK = 1_024  # queries compared at once: bounds the memory


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The training queries' unit features (n, d) and scores (n, models), their mean, and k as an array of one."""

    units: NDArray[np.float32]
    scores: NDArray[np.float32]
    mean: Floats
    size: NDArray[np.int64]

    @classmethod
    def fit(cls, features: Floats, scores: Floats, *, sizes: tuple[int, ...] = SIZES) -> Fit:
        """Keep the training queries and choose k among `sizes`."""
        full, units = fill(scores), _unit(features)
        allowed = [size for size in sizes if size < len(full)] or [max(1, len(full) - 1)]
        order = np.concatenate(
            [_nearest(units[i : i + _BLOCK], units, max(allowed), i) for i in _blocks(len(units))]
        )
        mean, narrow = full.mean(axis=0), full.astype(np.float32)
        best: tuple[float, int, Any] = (np.inf, 0, None)
        for size in allowed:
            held_out = _smooth(narrow[order[:, :size]].sum(axis=1), mean, size)
            error = float(np.nanmean((held_out - scores) ** 2))
            best = min(best, (error, size, held_out), key=lambda entry: entry[0])
        return Fit(cls(units, narrow, mean, np.array([best[1]])), best[2])

    def predict(self, features: Floats) -> Floats:
        """Return the smoothed means of the neighbours."""
        units, size = _unit(features), int(self.size[0])
        found = [_nearest(units[i : i + _BLOCK], self.units, size, None) for i in _blocks(len(units))]
        return _smooth(self.scores[np.concatenate(found)].sum(axis=1), self.mean, size)


def _smooth(total: NDArray[np.float32], mean: Floats, size: int) -> Floats:
    smoothed: Floats = (total + _PRIOR * mean) / (size + _PRIOR)
    return smoothed


def _unit(features: Floats) -> NDArray[np.float32]:
    norms = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return np.asarray(features / norms, dtype=np.float32)


def _nearest(
    units: NDArray[np.float32], among: NDArray[np.float32], size: int, itself_from: int | None
) -> NDArray[np.intp]:
    """Return the `size` nearest rows, nearest first; `itself_from` is the row of the first query, left out."""
    similarity = units @ among.T
    if itself_from is not None:
        similarity[np.arange(len(units)), itself_from + np.arange(len(units))] = -np.inf
    top = np.argpartition(-similarity, size - 1, axis=1)[:, :size]
    order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def _blocks(count: int) -> range:
    return range(0, count, _BLOCK)
