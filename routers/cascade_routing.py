"""Cascade routing (arXiv 2410.10347): at each step call any model, or stop with the answer believed in most.

A call of model i is worth making when its reservation value σ_i (`agentkit.routers.reservation`) is above the
belief in the best answer in hand:

    i* = argmax_i σ_i(λ·ĉ_i);   call i* if σ_i* > max_a q̂_a, else stop with the a of highest q̂_a

Beliefs and expectations are renewed after each reply. The paper prices a set of further calls as if all of them
were made, and takes the best answer for granted; the reservation value counts on stopping early and on what the
verifier can tell apart. With λ the quality one gives up to save a dollar, routing and cascading are its corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Stop
from agentkit.routers.preferences import Preferences, slowest
from agentkit.routers.reservation import Likelihoods, reservation
from agentkit.types import ModelCard, ScopeView

MOST_REPLIES = 6
"""Replies to one query, whatever they cost."""


class VerifyingEstimator(Estimator, Protocol):
    """An estimator that can also judge replies, and knows how much its judgement will tell."""

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        """Return the probability that each outcome in `seen` is right; 0 without a reply."""
        ...

    def likelihoods(self, model: str) -> Likelihoods:
        """Return what evidence of its own a reply of `model` will show, when it is right and when it is wrong."""
        ...


class CascadeRouter:
    """Calls by falling reservation value while one is above the best belief in hand.

    `quality_per_usd` is λ: how much quality, 0 to 1, a dollar saved is worth. After `most` replies it stops, for a
    seventh opinion is worth something whenever money is not, and waiting never costs nothing. Calls of tools that
    validate are taken as they are, unless the estimator's verifier has learnt to judge them.
    """

    def __init__(
        self,
        estimator: VerifyingEstimator,
        quality_per_usd: float = 0.0,
        *,
        most: int = MOST_REPLIES,
        preferences: Preferences | None = None,
        judges_calls: bool = False,
    ) -> None:
        self.estimator, self.quality_per_usd, self.most = estimator, quality_per_usd, most
        self.preferences = preferences or Preferences()
        self.judges_calls = judges_calls

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the call of highest reservation value, or stop with the answer believed in most."""
        if seen and seen[-1].valid and _calls_tools(seen[-1]) and not self.judges_calls:
            return Stop(len(seen) - 1, "a call of tools is no answer to judge yet")
        beliefs = self.estimator.judge(query, candidates, seen)
        replies = sum(outcome.completion is not None for outcome in seen)
        best = _best(seen, beliefs)
        in_hand = beliefs[best] if best is not None and seen[best].valid else 0.0
        estimates = self.estimator.estimate(query, candidates, seen)
        late = slowest(estimates)
        left = [
            (card.name not in query.weak, self._worth(card.name, estimate, late), card.name, estimate)
            for card, estimate in zip(candidates, estimates, strict=True)
            if self.preferences.allow(query, card, estimate.seconds, seen, view)
        ]
        if not left:
            return Stop(best, "no other model can be called" if seen else "no model could be called")
        fresh, worth, name, estimate = max(left, key=lambda entry: entry[:2])
        if replies and (replies >= self.most or not (fresh and worth[0] > in_hand)):
            return Stop(best, f"believed with {in_hand:.2f}; no other call is worth its cost")
        return Call(name, f"expected quality {estimate.quality:.2f} for ${float(estimate.cost.usd):.2g}")

    def _worth(self, model: str, estimate: Estimate, late: float) -> tuple[float, int]:
        """Return the reservation value, and among equals the cheaper one first."""
        price = self.preferences.price(estimate, self.quality_per_usd, late)
        worth = reservation(estimate.quality, self.estimator.likelihoods(model), price)
        return worth, -estimate.cost["usd"]


def _calls_tools(outcome: Outcome) -> bool:
    return outcome.completion is not None and bool(outcome.completion.message.tool_calls)


def _best(seen: Sequence[Outcome], beliefs: Sequence[float]) -> int | None:
    """Return the reply believed in most, a valid one where there is one; None without a reply."""
    replies = [place for place, outcome in enumerate(seen) if outcome.completion is not None]
    return max(replies, key=lambda place: (seen[place].valid, beliefs[place]), default=None)
