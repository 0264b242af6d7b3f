"""Complexity tiers (EllieSQL, arXiv 2503.22402): a query goes to the cheapest tier that is likely enough to do.

A training query's label is the first tier, from cheap to dear, that succeeds; what none solves goes to the last.
With F_t(x) = P(label ≤ t | x), one logistic regression for each tier but the last:

    t* = min { t : max_{s ≤ t} F_s(x) ≥ τ }

and up from there when a reply does not validate. The labels are all it needs to know of the past, which is what a
log of escalations holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentkit.evals.baselines.cascades import chain_of
from agentkit.evals.baselines.ladder import Ladder
from agentkit.evals.baselines.shared import SharedFeatures, shared_features
from agentkit.routers import Decision, Outcome, Query, RuleRouter
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard, ScopeView

RUNGS = 24
_FOLDS = 5
_SUCCESS = 0.5  # a score from which on a reply has succeeded

Labels = NDArray[np.intp]


class Chances(Protocol):
    """Says how likely each tier is enough for a query, rising to 1."""

    def of(self, text: str) -> list[float]:
        """Return the chances by tier."""
        ...


class Complexity:
    """P(label ≤ t | x) by tier, rising, 1 for the last; `weights` is (features + 1, tiers − 1)."""

    def __init__(self, features: SharedFeatures, weights: Floats) -> None:
        self._features, self._weights = features, weights

    @classmethod
    def fit(
        cls, features: SharedFeatures, numbers: Floats, labels: Labels, tiers: int
    ) -> tuple[Complexity, Floats]:
        """Fit on `labels`, 0 to `tiers` − 1; returns it, and what it says of queries it had not seen."""
        fits = [_boundary(numbers, labels <= tier) for tier in range(tiers - 1)]
        held_out = np.ones((len(labels), tiers))
        for tier, (_, chances) in enumerate(fits):
            held_out[:, tier] = chances
        weights = np.reshape([weights for weights, _ in fits], (tiers - 1, numbers.shape[1] + 1)).T
        return cls(features, weights), np.maximum.accumulate(held_out, axis=1)

    def of(self, text: str) -> list[float]:
        """Return the chances for a query."""
        odds = np.append(self._features.of([text])[0], 1.0) @ self._weights
        return [*accumulate((1 / (1 + np.exp(-odds))).tolist(), max), 1.0]


class TierRouter:
    """Begins at the first tier that does with the chance `confidence`, and goes up when a reply does not validate.

    Where no tier above can be called the ones below are tried, the dearest first.
    """

    def __init__(self, complexity: Chances, tiers: Sequence[str], confidence: float) -> None:
        self._complexity, self.tiers, self.confidence = complexity, tuple(tiers), confidence

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return what the rules say in the order of this query's tiers."""
        first = min(bisect_left(self._complexity.of(query.text), self.confidence), len(self.tiers) - 1)
        order = (*self.tiers[first:], *reversed(self.tiers[:first]))
        return RuleRouter(order).next(query, candidates, seen, view)


def cheapest_that_succeeds(table: OutcomeTable, tiers: Sequence[str]) -> Labels:
    """Return the label of each query: the place in `tiers`, the last where none succeeds."""
    score = np.nan_to_num(table.only(tiers).score) >= _SUCCESS
    return np.where(score.any(axis=1), score.argmax(axis=1), len(tiers) - 1)


def tiers(table: OutcomeTable) -> Ladder:
    """Fit on `table`; the tiers are the single models' hull, the knob is the confidence."""
    names = chain_of(table)
    features = shared_features(table.texts)
    labels = cheapest_that_succeeds(table, names)
    complexity, held_out = Complexity.fit(features, features.of(table.texts), labels, len(names))
    known = held_out[:, : max(len(names) - 1, 1)]
    wanted = np.concatenate([[1.0], np.quantile(known, np.linspace(1, 0, RUNGS - 2)), [0.0]])
    cost = np.nan_to_num(table.only(names).cost).mean(axis=0)
    places = [np.minimum((held_out < confidence).sum(axis=1), len(names) - 1) for confidence in wanted]
    routers = tuple(TierRouter(complexity, names, float(confidence)) for confidence in wanted)
    return Ladder(routers, tuple(float(cost[place].mean()) for place in places))


def _boundary(numbers: Floats, below: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return weights and intercept, and held-out chances, of one boundary between tiers."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    if min(below.sum(), (~below).sum()) < _FOLDS:  # nothing to learn from
        odds = float(np.log((below.sum() + 1) / ((~below).sum() + 1)))
        return np.append(np.zeros(numbers.shape[1]), odds), np.full(len(below), 1 / (1 + np.exp(-odds)))
    model = LogisticRegression(C=1.0, max_iter=500)
    chances = cross_val_predict(model, numbers, below, cv=_FOLDS, method="predict_proba")[:, 1]
    model.fit(numbers, below)
    return np.append(model.coef_[0], model.intercept_[0]), chances
