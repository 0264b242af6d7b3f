"""Votes: ask a panel and take the answer that most of it gives (self-consistency, arXiv 2203.11171, within one
model or across several), each with one vote or with the log odds of its being right.

    a* = argmax_a Σ_{i: answer_i = a} w_i,   w_i = 1  or  ln(q̂_i / (1 − q̂_i))

The panel is asked in order, and no further once the rest cannot change the outcome. Equal answers are those that
`agentkit.routers.signals.final_answer` makes equal: what stands behind the last mark, else a short reply as a
whole, else its last number, without case, spaces, units and thousands separators; calls of tools
by their names and arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agentkit.routers.base import Call, Decision, Estimator, Outcome, Query, Stop
from agentkit.routers.panel import waiting
from agentkit.routers.signals import final_answer
from agentkit.types import ModelCard, ScopeView

_LEAST = 0.05  # a weight: whoever is believed to be wrong more often than right still breaks ties


class VoteRouter:
    """Asks the models of `panel`, one several times if it is named so, and takes the answer that wins.

    With an `estimator` votes weigh the log odds of its qualities. A model that is asked again must be able to say
    something else: give the agent a temperature.
    """

    def __init__(self, panel: Sequence[str], estimator: Estimator | None = None) -> None:
        self.panel, self.estimator = tuple(panel), estimator

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Call the next of the panel while its vote can matter, then stop with a reply that won."""
        weights = self._weights(query, candidates)
        left = waiting(self.panel, query, candidates, seen, view)
        votes = tally(seen, weights)
        ranked = sorted(votes.values(), reverse=True) + [0.0, 0.0]
        if left and ranked[0] - ranked[1] <= sum(weights[model] for model in left):
            return Call(left[0], f"vote {len(seen) + 1}: it can decide")
        return Stop(winner(seen, votes, weights), _result(votes, left))

    def _weights(self, query: Query, candidates: Sequence[ModelCard]) -> dict[str, float]:
        if self.estimator is None:
            return {card.name: 1.0 for card in candidates}
        estimates = zip(candidates, self.estimator.estimate(query, candidates, ()), strict=True)
        chances = {card.name: min(max(one.quality, 0.01), 0.99) for card, one in estimates}
        return {name: max(math.log(q / (1 - q)), _LEAST) for name, q in chances.items()}


def tally(seen: Sequence[Outcome], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the votes by answer; replies that are not valid or come to nothing have none."""
    votes: dict[str, float] = {}
    for outcome in seen:
        if outcome.completion and outcome.valid and (answer := final_answer(outcome.completion)):
            votes[answer] = votes.get(answer, 0.0) + weights.get(outcome.model, _LEAST)
    return votes


def winner(seen: Sequence[Outcome], votes: Mapping[str, float], weights: Mapping[str, float]) -> int | None:
    """Return the reply of the weightiest voter for the answer that won, valid ones first; None without a reply."""

    def rank(place: int) -> tuple[bool, float, float]:
        outcome = seen[place]
        answer = final_answer(outcome.completion) if outcome.completion else ""
        return outcome.valid, votes.get(answer, 0.0), weights.get(outcome.model, _LEAST)

    return max((place for place, outcome in enumerate(seen) if outcome.completion), key=rank, default=None)


def _result(votes: Mapping[str, float], left: Sequence[str]) -> str:
    if not votes:
        return "nobody gave an answer to vote for"
    share = max(votes.values()) / sum(votes.values())
    return f"{share:.0%} of the votes for one answer of {len(votes)}; {len(left)} need not be asked"
