"""The corners of cascade routing, on the very same estimates: choose once, or go up a fixed chain.

- `route_only`: one call, argmax q̂ − λ·ĉ (arXiv 2410.10347, Theorem 1);
- `value_cascade`: the models of the single models' hull from cheap to dear, stopped optimally. With b the best
  belief in hand, V_j(b) = max( b, Σ_m P_m·V_{j+1}(max(b, q_m)) − λ·ĉ_j ), and one goes on where the right side is
  larger; thresholds that are tuned jointly are a special case of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from agentkit.costs import NANO
from agentkit.evals.baselines.heads import OneCall
from agentkit.evals.baselines.ladder import Ladder
from agentkit.evals.baselines.shared import shared_features
from agentkit.routers import Call, Decision, Outcome, Query, Stop, UtilityRouter
from agentkit.routers.cascade_routing import CascadeRouter, VerifyingEstimator
from agentkit.routers.estimators import OutcomeTable, upper_hull
from agentkit.routers.estimators.fitting import Material
from agentkit.routers.estimators.verified import Verified, fit_verified, rates, rehearsal_stage, rehearse
from agentkit.routers.reservation import beliefs
from agentkit.types import ModelCard, ScopeView

_LONGEST = 4  # models of a chain

_fitted: list[tuple[OutcomeTable, Verified]] = []


class ValueCascade:
    """Goes up `chain` while that is worth its price; `quality_per_usd` is λ."""

    def __init__(self, estimator: VerifyingEstimator, chain: Sequence[str], quality_per_usd: float) -> None:
        self._estimator, self.chain, self._rate = estimator, tuple(chain), quality_per_usd

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Stop with the answer believed in most, or call the next model of the chain that can be called."""
        judged = self._estimator.judge(query, candidates, seen)
        best = max(range(len(seen)), key=judged.__getitem__, default=None)
        place = self.chain.index(seen[-1].model) + 1 if seen else 0
        left = [model for model in self.chain[place:] if query.fits(model, view)]
        if not left:
            return Stop(best, "the chain ends")
        if best is not None:
            estimates = self._estimator.estimate(query, candidates, seen)
            known = {card.name: one for card, one in zip(candidates, estimates, strict=True)}
            steps = [(known[m].quality, self._rate * known[m].cost["usd"] / NANO, m) for m in left]
            if self._go_on(judged[best], steps) <= judged[best]:
                return Stop(best, "no more is worth its price")
        return Call(left[0], "next in the chain")

    def _go_on(self, in_hand: float, steps: Sequence[tuple[float, float, str]]) -> float:
        quality, price, model = steps[0]
        value = -price
        for chance, belief in beliefs(quality, self._estimator.likelihoods(model)):
            after = max(in_hand, belief)
            value += chance * (max(after, self._go_on(after, steps[1:])) if len(steps) > 1 else after)
        return value


def cascade_routing(table: OutcomeTable) -> Ladder:
    """Return cascade routing at every price of quality."""
    fitted, knob = shared_fit(table), rates(table)
    trail = rehearse(partial(CascadeRouter, fitted.rehearsal), knob, rehearsal_stage(fitted.table))
    routers = tuple(CascadeRouter(fitted.estimator, rate) for rate in knob)
    return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)


def route_only(table: OutcomeTable) -> Ladder:
    """Return routing alone on the estimates of cascade routing."""
    fitted, knob = shared_fit(table), rates(table)
    trail = rehearse(partial(UtilityRouter, fitted.held_out), knob, rehearsal_stage(fitted.table))
    routers = tuple(OneCall(UtilityRouter(fitted.base, rate)) for rate in knob)
    return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)


def value_cascade(table: OutcomeTable) -> Ladder:
    """Return cascading alone on the estimates and the verifier of cascade routing."""
    fitted, knob = shared_fit(table), rates(table)
    chain = chain_of(table)
    trail = rehearse(partial(ValueCascade, fitted.rehearsal, chain), knob, rehearsal_stage(fitted.table))
    routers = tuple(ValueCascade(fitted.estimator, chain, rate) for rate in knob)
    return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)


def shared_fit(table: OutcomeTable) -> Verified:
    """Return what is fitted on `table`, the same while the table is the same."""
    if not _fitted or _fitted[0][0] is not table:
        material = Material.of(table, features=lambda texts: shared_features(tuple(texts)))
        _fitted[:] = [(table, fit_verified(material))]
    return _fitted[0][1]


def chain_of(table: OutcomeTable) -> list[str]:
    """Return models of the single models' hull from cheap to dear, evenly thinned out to the longest chain."""
    score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
    points = list(zip(cost.tolist(), score.tolist(), strict=True))
    vertices = [points.index(vertex) for vertex in upper_hull(points) if vertex in points]
    kept = np.unique(np.linspace(0, len(vertices) - 1, min(_LONGEST, len(vertices))).round().astype(int))
    return [table.models[vertices[place]] for place in kept]
