"""Utility routing: the model whose predicted quality is worth its predicted cost (Tryage, arXiv 2308.11601).

    m* = argmax_m  q̂_m(x) − λ·ĉ_m(x)

over the models that fit the budget, with λ the quality one gives up to save a dollar. For a given mean spend this
is the best choice of a single model (arXiv 2410.10347, Theorem 1).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.costs import NANO
from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Stop
from agentkit.types import ModelCard, ScopeView


class UtilityRouter:
    """Calls the model of highest utility; when its reply does not validate the next best, if that is worth its
    cost.

    `quality_per_usd` is λ: how much predicted quality, 0 to 1, a dollar saved is worth.
    """

    def __init__(self, estimator: Estimator, quality_per_usd: float = 0.0) -> None:
        self.estimator, self.quality_per_usd = estimator, quality_per_usd

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the untried model of highest utility, weak ones only as a last resort."""
        if seen and seen[-1].valid:
            return Stop(len(seen) - 1, "the reply is valid")
        tried = {outcome.model for outcome in seen}
        left = [
            (card.name not in query.weak, self._utility(estimate), card.name, estimate)
            for card, estimate in zip(candidates, self.estimator.estimate(query, candidates, seen), strict=True)
            if card.name not in tried
            and (card.capabilities.tools or not query.needs_tools)
            and query.fits(card.name, view)
        ]
        if not left:
            return _stop(seen)
        fresh, utility, name, estimate = max(left, key=lambda entry: entry[:2])
        has_reply = any(outcome.completion for outcome in seen)
        if has_reply and not (fresh and utility[0] > 0):
            return _stop(seen)
        return Call(name, f"expected quality {estimate.quality:.2f} for ${float(estimate.cost.usd):.2g}")

    def _utility(self, estimate: Estimate) -> tuple[float, int]:
        """Return the utility, and among equals the cheaper one first."""
        spend = estimate.cost["usd"]
        return estimate.quality - self.quality_per_usd * spend / NANO, -spend


def _stop(seen: Sequence[Outcome]) -> Stop:
    """Stop with the last reply there is."""
    replies = [place for place, outcome in enumerate(seen) if outcome.completion is not None]
    if not replies:
        return Stop(None, "every model failed" if seen else "no model could be called")
    return Stop(replies[-1], "no other model is worth its cost")
