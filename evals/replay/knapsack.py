"""The offline knapsack: the best use of predictions under a budget, with hindsight of what calls really cost."""

from __future__ import annotations

import numpy as np

from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.table import Floats

_DEAREST = 1e15  # a price at which nothing but cost counts


def offline(predicted: Floats, expected: Floats, table: OutcomeTable, budget: float) -> Floats:
    """Return by query the score of the best use of these predictions, with hindsight of what each call costs.

    One call a query, argmax q̂ − λĉ, with the λ at which the recorded spend is `budget` (bisection; the last bit
    is mixed). What a decision rule on the same predictions can reach at most by choosing λ once, with one call a
    query and no holds. Where even the cheapest calls cost more, queries of highest q̂/ĉ are answered and the others
    are not.
    """
    rows = np.arange(len(predicted))
    score, cost = np.nan_to_num(table.score), np.nan_to_num(table.cost)

    def use(rate: float) -> tuple[float, Floats, np.ndarray]:
        pick = np.where(table.known, predicted - rate * expected, -np.inf).argmax(axis=1)
        return float(cost[rows, pick].sum()), score[rows, pick], pick

    if use(0.0)[0] <= budget:
        return use(0.0)[1]
    low, high = 0.0, 1.0 / max(float(np.nanmean(expected)), 1e-12)
    while use(high)[0] > budget and high < _DEAREST:
        high *= 4
    if high >= _DEAREST:
        return _some(use(high)[2], predicted, expected, score, cost, budget)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if use(middle)[0] > budget else (low, middle)
    (dear, more, _), (cheap, less, _) = use(low), use(high)
    share = (budget - cheap) / (dear - cheap) if dear > cheap else 0.0
    return less + min(max(share, 0.0), 1.0) * (more - less)


def _some(
    pick: np.ndarray, predicted: Floats, expected: Floats, score: Floats, cost: Floats, budget: float
) -> Floats:
    """Return the scores of the calls of `pick` in the order of what a dollar brings, 0 when the money is gone."""
    rows = np.arange(len(pick))
    order = np.argsort(-predicted[rows, pick] / np.maximum(expected[rows, pick], 1e-15), kind="stable")
    paid = np.empty(len(pick), dtype=np.bool_)
    paid[order] = np.cumsum(cost[rows, pick][order]) <= budget
    return np.where(paid, score[rows, pick], 0.0)
