"""RouteLLM's rule (arXiv 2406.18665): call the strong model when it is likely enough to win.

    strong  if  P(strong wins | x) ≥ t,   else weak

over one pair of models: here the best and the cheapest on the training queries, and P from logistic regression on
our features over the queries where one of them won. (Their routers are trained on preferences of people, with
embeddings of a provider; on a table of outcomes this is the same rule, trained in its domain.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentkit.evals.baselines.ladder import Ladder
from agentkit.evals.baselines.shared import SharedFeatures, shared_features
from agentkit.routers import Call, Decision, Outcome, Query, Stop
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard, ScopeView

RUNGS = 24
_FOLDS = 5


class _Wins:
    """P(strong wins) of a text."""

    def __init__(self, features: SharedFeatures, coefficients: Floats, intercept: float) -> None:
        self._features, self._coefficients, self._intercept = features, coefficients, intercept

    def of(self, text: str) -> float:
        return float(self._features.of([text])[0] @ self._coefficients + self._intercept)


class ThresholdRouter:
    """Calls `strong` where the log odds of its winning reach `threshold`, else `weak`."""

    def __init__(self, wins: _Wins, weak: str, strong: str, threshold: float) -> None:
        self._wins, self._weak, self._strong, self._threshold = wins, weak, strong, threshold

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Call one of the two, the other where that cannot be called, and stop."""
        if seen:
            return Stop(0, "one call")
        first, second = self._weak, self._strong
        if self._wins.of(query.text) >= self._threshold:
            first, second = second, first
        able = [model for model in (first, second) if query.fits(model, view)]
        return Call(able[0], "threshold") if able else Stop(None, "neither model can be called")


def routellm(table: OutcomeTable) -> Ladder:
    """Fit on `table`; thresholds are quantiles of held-out log odds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
    weak, strong = int(cost.argmin()), int(score.argmax())
    features = shared_features(table.texts)
    numbers = features.of(table.texts)
    gain = table.score[:, strong] - table.score[:, weak]
    decided = np.flatnonzero(np.nan_to_num(gain) != 0)
    won = gain[decided] > 0
    shares = np.linspace(1.0, 0.0, RUNGS)
    spend = tuple(float(cost[weak] + share * (cost[strong] - cost[weak])) for share in shares)
    if len(decided) < 2 * _FOLDS or min(won.sum(), (~won).sum()) < _FOLDS:  # nothing to learn from
        wins, odds = _Wins(features, np.zeros(numbers.shape[1]), 0.0), np.zeros(len(numbers))
    else:
        model = LogisticRegression(C=1.0, max_iter=500)
        odds = numbers @ (fitted := model.fit(numbers[decided], won)).coef_[0] + fitted.intercept_[0]
        odds[decided] = cross_val_predict(model, numbers[decided], won, cv=_FOLDS, method="decision_function")
        wins = _Wins(features, fitted.coef_[0], float(fitted.intercept_[0]))
    thresholds = np.quantile(odds, 1 - shares)
    thresholds[0], thresholds[-1] = -np.inf, np.inf
    names = table.models[weak], table.models[strong]
    return Ladder(tuple(ThresholdRouter(wins, *names, float(threshold)) for threshold in thresholds), spend)
