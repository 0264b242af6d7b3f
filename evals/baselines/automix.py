"""AutoMix (arXiv 2310.12963): the weak model answers and votes on its answer, and a meta-verifier reads the votes.

`VOTES` noisy judgements of the answer say that it is right; with v of them, one of two rules decides whether the
strong model is asked too:

- threshold:  go up if v < t;
- POMDP:      whether either model is right is hidden, and v is all that is observed of it; at the price of quality
              λ go up if  E[strong right | v] − λ·c > E[weak right | v].

With one observation and two actions their POMDP is a table by v, learned on the training queries. The votes are
read off what the reply shows (`agentkit.routers.signals`): as many of `VOTES` as it is believed in, which costs
nothing; theirs are as many calls of the weak model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from agentkit.evals.baselines.cascades import shared_fit
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.routers import Call, Decision, Outcome, Query, Stop
from agentkit.routers.cascade_routing import VerifyingEstimator
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import Floats
from agentkit.routers.estimators.verified import rates, rehearsal_stage, rehearse
from agentkit.types import ModelCard, ScopeView

VOTES = 8
_SHRINK = 5.0  # queries without a preference for either model, by number of votes


class AutoMixRouter:
    """Calls `weak`, and `strong` as well where the number of votes for the weak reply is in `up`."""

    def __init__(self, estimator: VerifyingEstimator, weak: str, strong: str, up: frozenset[int]) -> None:
        self._estimator, self.weak, self.strong, self.up = estimator, weak, strong, up

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Stop with the last reply once the votes are content with it or nothing is left to call."""
        tried = {outcome.model for outcome in seen}
        left = [m for m in (self.weak, self.strong) if m not in tried and query.fits(m, view)]
        if not left:
            return Stop(len(seen) - 1 if seen else None, "no other model is left")
        if seen and votes_for(self._estimator, query, candidates, seen[0]) not in self.up:
            return Stop(0, "enough votes")
        return Call(left[0], "too few votes" if seen else "the weak one first")


def votes_for(estimator: VerifyingEstimator, query: Query, cards: Sequence[ModelCard], outcome: Outcome) -> int:
    """Return how many of VOTES say that the reply is right."""
    return round(VOTES * estimator.judge(query, cards, [outcome])[0])


def automix(*, pomdp: bool) -> Contender:
    """Return the contender: the cheapest model and the best one, by table of votes or by a threshold on them."""

    def fit(table: OutcomeTable) -> Ladder:
        fitted = shared_fit(table)
        score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
        weak, strong = table.models[int(cost.argmin())], table.models[int(score.argmax())]
        stage = rehearsal_stage(fitted.table)
        ups = [frozenset(range(votes)) for votes in range(VOTES + 1, -1, -1)]
        if pomdp:
            gain, price = _learned(fitted.rehearsal, stage, weak, strong), float(cost[score.argmax()])
            ups = [frozenset(np.flatnonzero(gain > rate * price).tolist()) for rate in rates(table)]
        make = partial(AutoMixRouter, weak=weak, strong=strong)
        trail = rehearse(lambda place: make(fitted.rehearsal, up=ups[int(place)]), range(len(ups)), stage)
        routers = tuple(make(fitted.estimator, up=up) for up in ups)
        return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)

    return fit


def _learned(estimator: VerifyingEstimator, stage: Stage, weak: str, strong: str) -> Floats:
    """Return what going up gains on average, by number of votes."""
    total, count = np.zeros(VOTES + 1), np.zeros(VOTES + 1)
    for query, scores, outcomes in zip(stage.queries, stage.scores, stage.outcomes, strict=True):
        if weak in outcomes and strong in outcomes:
            votes = votes_for(estimator, query, stage.cards, outcomes[weak])
            total[votes] += scores[strong] - scores[weak]
            count[votes] += 1
    gain: Floats = total / (count + _SHRINK)
    return gain
