"""EERO (arXiv 2402.03779): a chain whose thresholds are quantiles, so that the spend holds without a label.

The share of queries ε_k that leave the chain at model k comes from exponential weights, with the λ at which the
expected spend is the budget B:

    ε_k ∝ exp( −(R_k + λ·C_k) / β ),   Σ_k ε_k·C_k = B

where R_k is the model's error and C_k what all calls up to it cost. Model k then keeps the top share
ε_k / (1 − Σ_{j<k} ε_j) of the replies that reach it, by its confidence. That is a quantile of the confidences,
whatever they mean: labels decide how the budget is divided, never how much is spent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agentkit.evals.baselines.cascades import chain_of, shared_fit
from agentkit.evals.baselines.ladder import Ladder
from agentkit.routers import Call, Decision, Outcome, Query, Stop
from agentkit.routers.cascade_routing import VerifyingEstimator
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import Floats
from agentkit.routers.estimators.verified import rehearsal_stage
from agentkit.types import ModelCard, ScopeView

RUNGS = 24
BETA = 0.02
"""How evenly the weights spread; with 0 at most two models of the chain answer."""


class QuantileCascade:
    """Goes up `chain` until a reply is believed in at least as much as its model's threshold."""

    def __init__(self, estimator: VerifyingEstimator, chain: Sequence[str], thresholds: Sequence[float]) -> None:
        self._estimator, self.chain, self.thresholds = estimator, tuple(chain), tuple(thresholds)

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Keep the last reply or go on to the next model that can be called."""
        place = self.chain.index(seen[-1].model) + 1 if seen else 0
        left = [model for model in self.chain[place:] if query.fits(model, view)]
        if not left:
            return Stop(len(seen) - 1 if seen else None, "the chain ends")
        if seen and self._estimator.judge(query, candidates, seen[-1:])[0] >= self.thresholds[place - 1]:
            return Stop(len(seen) - 1, "among the most confident")
        return Call(left[0], "next in the chain")


def exit_shares(errors: Floats, costs: Floats, budget: float, beta: float = BETA) -> Floats:
    """Return ε, which spends `budget` exactly where it lies between the first cost and the last (bisection)."""

    def shares(price: float) -> Floats:
        logits = -(errors + price * costs) / beta
        weights = np.exp(logits - logits.max())
        found: Floats = weights / weights.sum()
        return found

    steepest = 100 * (np.ptp(errors) + beta) / max(float(np.diff(costs).min(initial=math.inf)), 1e-12)
    low, high = -steepest, steepest
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle) @ costs > budget else (low, middle)
    return shares(high)


def thresholds(confidences: Floats, shares: Floats) -> list[float]:
    """Return the threshold of each model but the last, each among the calibration queries that reach the model.

    `confidences` is (queries, models).
    """
    reach, left, found = np.arange(len(confidences)), 1.0, []
    for place, share in enumerate(shares[:-1]):
        kept = round(len(reach) * min(share / left, 1.0)) if left > 0 else len(reach)
        ranked = np.sort(confidences[reach, place])[::-1]
        found.append(math.inf if kept == 0 else -math.inf if kept == len(reach) else float(ranked[kept - 1]))
        reach, left = reach[confidences[reach, place] < found[-1]], left - share
    return found


def eero(table: OutcomeTable) -> Ladder:
    """Fit on `table`: errors from its scores, thresholds from the confidences of held-out beliefs alone."""
    fitted, chain = shared_fit(table), chain_of(table)
    score, cost = np.nan_to_num(table.only(chain).score).mean(axis=0), np.nan_to_num(table.only(chain).cost)
    reached = cost.mean(axis=0).cumsum()
    confidences = _confidences(fitted.rehearsal, rehearsal_stage(fitted.table), chain)
    spends = np.geomspace(reached[0], reached[-1], RUNGS)[::-1]
    routers = tuple(
        QuantileCascade(fitted.estimator, chain, thresholds(confidences, exit_shares(1 - score, reached, spend)))
        for spend in spends
    )
    return Ladder(routers, tuple(spends.tolist()), fitted.base)


def _confidences(estimator: VerifyingEstimator, stage: Stage, chain: Sequence[str]) -> Floats:
    """Return the belief in each model's reply, (queries, models), of the queries that all of them answered."""
    rows = [
        [estimator.judge(query, stage.cards, [outcomes[model]])[0] for model in chain]
        for query, outcomes in zip(stage.queries, stage.outcomes, strict=True)
        if all(model in outcomes for model in chain)
    ]
    return np.reshape(rows, (len(rows), len(chain)))
