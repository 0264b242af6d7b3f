"""Utility routing: the model whose predicted quality is worth its predicted cost (Tryage, arXiv 2308.11601).

    m* = argmax_m  q̂_m(x) − λ·ĉ_m(x) − κ·t̂_m(x)

over the models that fit the budget and keep to the user's constraints, with λ and κ the quality one gives up to
save a dollar and a second (`agentkit.routers.preferences`). For a given mean spend this is the best choice of a
single model (arXiv 2410.10347, Theorem 1).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Stop
from agentkit.routers.preferences import Preferences, pareto_front, slowest
from agentkit.types import ModelCard, ScopeView


class UtilityRouter:
    """Calls the model of highest utility; when its reply does not validate the next best, if that is worth its
    cost.

    `quality_per_usd` is λ: how much predicted quality, 0 to 1, a dollar saved is worth. `preferences` has κ and
    the constraints.
    """

    def __init__(
        self, estimator: Estimator, quality_per_usd: float = 0.0, *, preferences: Preferences | None = None
    ) -> None:
        self.estimator, self.quality_per_usd = estimator, quality_per_usd
        self.preferences = preferences or Preferences()

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the untried model of highest utility, weak ones only as a last resort."""
        if seen and seen[-1].valid:
            return Stop(len(seen) - 1, "the reply is valid")
        estimates = self.estimator.estimate(query, candidates, seen)
        late = slowest(estimates)
        left = [
            (card.name not in query.weak, self._utility(estimate, late), card.name, estimate)
            for card, estimate in zip(candidates, estimates, strict=True)
            if self.preferences.allow(query, card, estimate.seconds, seen, view)
        ]
        if not left:
            return _stop(seen)
        fresh, utility, name, estimate = max(left, key=lambda entry: entry[:2])
        has_reply = any(outcome.completion for outcome in seen)
        if has_reply and not (fresh and utility[0] > 0):
            return _stop(seen)
        return Call(name, f"expected quality {estimate.quality:.2f} for ${float(estimate.cost.usd):.2g}")

    def front(self, query: Query, candidates: Sequence[ModelCard], view: ScopeView) -> dict[str, Estimate]:
        """Return the Pareto front of what may be called: the models that some weights could choose."""
        estimates = self.estimator.estimate(query, candidates, ())
        allowed = {
            card.name: one
            for card, one in zip(candidates, estimates, strict=True)
            if self.preferences.allow(query, card, one.seconds, (), view)
        }
        return {model: allowed[model] for model in pareto_front(allowed)}

    def _utility(self, estimate: Estimate, late: float) -> tuple[float, int]:
        """Return the utility, and among equals the cheaper one first."""
        price = self.preferences.price(estimate, self.quality_per_usd, late)
        return estimate.quality - price, -estimate.cost["usd"]


def _stop(seen: Sequence[Outcome]) -> Stop:
    """Stop with the last reply there is."""
    replies = [place for place, outcome in enumerate(seen) if outcome.completion is not None]
    if not replies:
        return Stop(None, "every model failed" if seen else "no model could be called")
    return Stop(replies[-1], "no other model is worth its cost")
