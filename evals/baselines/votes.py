"""Votes: ask a fixed set of models and take the answer that most of them give (self-consistency, arXiv 2203.11171,
across models), each with one vote or with the log odds of its being right.

    a* = argmax_a Σ_{m: answer_m = a} w_m,   w_m = 1  or  ln(q̂_m / (1 − q̂_m))

Models are asked from cheap to dear, and no further once the rest cannot change the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from agentkit.evals.baselines.cascades import shared_fit
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.routers import Call, Decision, Estimator, Outcome, Query, Stop
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.verified import rehearsal_stage, rehearse
from agentkit.routers.signals import final_answer
from agentkit.types import ModelCard, ScopeView

_LEAST = 0.05  # a weight: whoever is believed to be wrong more often than right still breaks ties


class VoteRouter:
    """Asks `voters` in order; `weighted` by the log odds of `estimator`'s qualities."""

    def __init__(self, estimator: Estimator, voters: Sequence[str], *, weighted: bool) -> None:
        self._estimator, self.voters, self._weighted = estimator, tuple(voters), weighted

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Call the next voter that can be called while it can matter, then stop with a reply that won."""
        weights = self._weights(query, candidates)
        tried = {outcome.model for outcome in seen}
        left = [model for model in self.voters if model not in tried and query.fits(model, view)]
        votes: dict[str, float] = {}
        for outcome in seen:
            if outcome.completion and (answer := final_answer(outcome.completion)):
                votes[answer] = votes.get(answer, 0.0) + weights[outcome.model]
        ranked = sorted(votes.values(), reverse=True) + [0.0, 0.0]
        if left and ranked[0] - ranked[1] <= sum(weights[model] for model in left):
            return Call(left[0], "its vote can decide")
        return Stop(_winner(seen, votes, weights), "the vote is decided")

    def _weights(self, query: Query, candidates: Sequence[ModelCard]) -> dict[str, float]:
        if not self._weighted:
            return {card.name: 1.0 for card in candidates}
        estimates = zip(candidates, self._estimator.estimate(query, candidates, ()), strict=True)
        chances = {card.name: min(max(one.quality, 0.01), 0.99) for card, one in estimates}
        return {name: max(math.log(q / (1 - q)), _LEAST) for name, q in chances.items()}


def votes(*, weighted: bool) -> Contender:
    """Return the contender: the k cheapest of the better half of the models, for every k."""

    def fit(table: OutcomeTable) -> Ladder:
        fitted = shared_fit(table)
        score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
        better = score.argsort()[-(len(score) // 2 + 1) :].tolist()
        strong = sorted(better, key=lambda model: float(cost[model]))
        sets = [[table.models[m] for m in strong[:size]] for size in range(1, len(strong) + 1)]
        stage = rehearsal_stage(fitted.table)
        make = partial(VoteRouter, weighted=weighted)
        trail = rehearse(lambda size: make(fitted.held_out, sets[int(size)]), range(len(sets)), stage)
        routers = tuple(make(fitted.base, voters) for voters in sets)
        return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)

    return fit


def _winner(seen: Sequence[Outcome], votes: dict[str, float], weights: dict[str, float]) -> int | None:
    """Return the reply of the weightiest voter for the answer that won."""
    replies = [place for place, outcome in enumerate(seen) if outcome.completion]

    def rank(place: int) -> tuple[float, float]:
        completion = seen[place].completion
        answer = final_answer(completion) if completion else ""
        return votes.get(answer, 0.0), weights[seen[place].model]

    return max(replies, key=rank, default=None)
