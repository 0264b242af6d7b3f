"""FrugalGPT's cascade (arXiv 2305.05176): a fixed chain of models, a scorer that judges query and answer together.

    accept the answer of model i  if  g_i(x, a_i) ≥ t_i,   the last model's always

Chains of up to three models and their thresholds are searched jointly on the training queries for the best
accuracy at each spend; g is logistic regression on our features and a few measurements of the answer,
cross-fitted, so that the search does not see a scorer's own training queries. Their scorer is a fine-tuned
DistilBERT.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from agentkit.evals.baselines.ladder import Ladder
from agentkit.evals.baselines.shared import SharedFeatures, shared_features
from agentkit.routers import Call, Decision, Outcome, Query, Stop
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.hull import upper_hull
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard, ScopeView

RUNGS = 24
_POOL = 6  # models that a chain is made of: O(n^3) chains
_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # shares of answers accepted, for the grid
_FOLDS = 3


class _Scorer:
    """Log odds that an answer is right: coefficients over the query's features and the answer's."""

    def __init__(self, features: SharedFeatures, coefficients: Mapping[str, Floats]) -> None:
        self._features, self._coefficients = features, coefficients

    def score(self, text: str, outcome: Outcome) -> float:
        return float(
            np.concatenate([self._features.of([text])[0], _measure(outcome), [1.0]])
            @ self._coefficients[outcome.model]
        )


class Cascade:
    """Calls `chain` in order until an answer's score reaches its threshold."""

    def __init__(self, scorer: _Scorer, chain: Sequence[str], thresholds: Sequence[float]) -> None:
        self._scorer, self.chain, self.thresholds = scorer, tuple(chain), tuple(thresholds)

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Accept the last answer or go on to the next model that can be called."""
        place = self.chain.index(seen[-1].model) + 1 if seen else 0
        left = [model for model in self.chain[place:] if query.fits(model, view)]
        if seen and left and self._scorer.score(query.text, seen[-1]) >= self.thresholds[place - 1]:
            return Stop(len(seen) - 1, "accepted")
        if left:
            return Call(left[0], "next in the chain")
        return Stop(len(seen) - 1, "the chain ends") if seen else Stop(None, "no model of the chain can be called")


def frugalgpt(table: OutcomeTable) -> Ladder:
    """Fit scorers, chains and thresholds on `table`."""
    features = shared_features(table.texts)
    pool = _pool(table)
    stage = Stage.of(table.only(pool))
    numbers = features.of(table.texts)
    fitted = {model: _fit(numbers, stage, model) for model in pool}
    scorer = _Scorer(features, {model: coefficients for model, (coefficients, _) in fitted.items()})
    held_out = {model: odds for model, (_, odds) in fitted.items()}
    best = _search(table, pool, held_out)
    routers = tuple(Cascade(scorer, chain, thresholds) for _, _, chain, thresholds in best)
    return Ladder(routers, tuple(spend for spend, *_ in best))


def _pool(table: OutcomeTable) -> list[str]:
    """Return the models that chains are made of: those of the single models' hull, then the best of the rest."""
    score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
    vertices = set(upper_hull(list(zip(cost.tolist(), score.tolist(), strict=True))))
    rank = sorted(range(len(score)), key=lambda m: ((cost[m], score[m]) not in vertices, -score[m]))
    chosen = sorted(rank[:_POOL], key=lambda m: cost[m])
    return [table.models[m] for m in chosen]


def _fit(numbers: Floats, stage: Stage, model: str) -> tuple[Floats, Floats]:
    """Return coefficients, and cross-fitted log odds by query (NaN where the model has no outcome)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    rows = [row for row, known in enumerate(stage.outcomes) if model in known]
    inputs = np.stack([np.concatenate([numbers[row], _measure(stage.outcomes[row][model])]) for row in rows])
    right = np.array([stage.scores[row][model] >= 0.5 for row in rows])
    odds = np.full(len(stage.outcomes), np.nan)
    if min(right.sum(), (~right).sum()) < _FOLDS:  # always right or always wrong
        odds[rows] = share = math.log((right.sum() + 1) / ((~right).sum() + 1))
        return np.append(np.zeros(inputs.shape[1]), share), odds
    scorer = LogisticRegression(C=1.0, max_iter=500)
    odds[rows] = cross_val_predict(scorer, inputs, right, cv=_FOLDS, method="decision_function")
    scorer.fit(inputs, right)
    return np.append(scorer.coef_[0], scorer.intercept_[0]), odds


def _search(
    table: OutcomeTable, pool: Sequence[str], odds: Mapping[str, Floats]
) -> list[tuple[float, float, tuple[str, ...], tuple[float, ...]]]:
    """Return RUNGS settings (spend, accuracy, chain, thresholds) along the training front, from dear to cheap."""
    column = {model: table.models.index(model) for model in pool}
    score, cost = np.nan_to_num(table.score), np.nan_to_num(table.cost)
    levels = {m: np.nanquantile(odds[m], 1 - np.array(_LEVELS)) for m in pool}
    found = []
    for chain in (chain for length in (1, 2, 3) for chain in combinations(pool, length)):
        for thresholds in product(*(levels[model] for model in chain[:-1])):
            spent, got = np.zeros(len(score)), np.zeros(len(score))
            going = np.ones(len(score), dtype=bool)
            for place, model in enumerate(chain):
                known = going & ~np.isnan(odds[model])
                spent += np.where(known, cost[:, column[model]], 0.0)
                got = np.where(known, score[:, column[model]], got)
                if place < len(thresholds):
                    going &= ~(known & (np.nan_to_num(odds[model]) >= thresholds[place]))
            found.append((float(spent.mean()), float(got.mean()), chain, tuple(map(float, thresholds))))
    spends = np.geomspace(max(min(s for s, *_ in found), 1e-12), max(s for s, *_ in found), RUNGS)[::-1]
    return [max((f for f in found if f[0] <= limit * (1 + 1e-9)), key=lambda f: (f[1], -f[0])) for limit in spends]


def _measure(outcome: Outcome) -> Floats:
    """Measure an answer: length in characters and tokens, digits, hedging, and whether it validates."""
    completion = outcome.completion
    text = completion.message.text if completion else ""
    tokens = completion.usage.output_tokens if completion and completion.usage else 0
    doubts = sum(text.lower().count(word) for word in ("not sure", "cannot", "unclear", "however", "assum"))
    digits = sum(map(str.isdigit, text)) / max(len(text), 1)
    return np.array([math.log1p(len(text)) / 8, math.log1p(tokens) / 8, digits, min(doubts, 3) / 3, outcome.valid])
