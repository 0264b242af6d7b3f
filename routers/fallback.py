"""Fallbacks: where a call that failed goes next, by the kind of its failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from agentkit.errors import FailureKind
from agentkit.routers.base import Call, Decision, Outcome, Query, Router, Stop
from agentkit.types import ModelCard, ScopeView

Trigger = Literal[FailureKind, "any"]
"""What sends a call to a fallback; `any` is every kind that has no list of its own."""

TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)


class FallbackRouter:
    """Sends a failed call to the `fallbacks` of its kind of failure, in order; `router` decides everything else.

    Models that nothing but a fallback names are called as fallbacks only: `router` does not see them. A kind
    without a list has a rule where one model is as such better than another: a prompt that was too long goes to
    larger context windows only, and content that was refused to another provider while there is one.
    """

    def __init__(
        self,
        router: Router,
        fallbacks: Mapping[Trigger, Sequence[str]] | None = None,
        *,
        reserves: frozenset[str] = frozenset(),
    ) -> None:
        """`reserves` are the models that are fallbacks and nothing else."""
        self.router = router
        self.fallbacks = {trigger: tuple(models) for trigger, models in (fallbacks or {}).items()}
        self.reserves = reserves

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the fallback of the last failure if one is left, else what the router says."""
        error = seen[-1].error if seen and not seen[-1].asked else None
        if error is not None and (call := self._fallback(error, query, candidates, seen, view)):
            return call
        tried = {outcome.model for outcome in seen}
        usual = [card for card in candidates if card.name not in self.reserves or card.name in tried]
        usual = usual or list(candidates)  # the composer may have left nothing but fallbacks
        plain = [outcome for outcome in seen if not outcome.asked]  # of its own prompts the router takes care
        decision = self.router.next(query, _suited(usual, plain, query, view), seen, view)
        if isinstance(decision, Stop) and decision.answer is None and not seen:
            # nobody could even be asked: a prompt that fits no window is refused before it is sent
            return self._fallback("context", query, candidates, seen, view) or decision
        return decision

    def _fallback(
        self,
        error: FailureKind,
        query: Query,
        candidates: Sequence[ModelCard],
        seen: Sequence[Outcome],
        view: ScopeView,
    ) -> Call | None:
        tried = {outcome.model for outcome in seen}
        able = {card.name for card in candidates if card.capabilities.tools or not query.needs_tools}
        for name in self.fallbacks.get(error, self.fallbacks.get("any", ())):
            if name in able - tried and query.fits(name, view):
                why = f"{seen[-1].model}: {error}" if seen else "no usual model can be asked"
                return Call(name, f"{why}; this is the fallback")
        return None


def _suited(
    candidates: Sequence[ModelCard], seen: Sequence[Outcome], query: Query, view: ScopeView
) -> list[ModelCard]:
    """Leave out what would fail again for the same reason."""
    if all(outcome.error is None for outcome in seen):
        return list(candidates)
    cards = {card.name: card for card in candidates}
    failed = [(outcome.error, cards[outcome.model]) for outcome in seen if outcome.model in cards]
    windows = [card.context_window for error, card in failed if error == "context"]
    makers = {card.backend for error, card in failed if error == "refused"}
    suited = [card for card in candidates if card.context_window > max(windows, default=0)]
    tried = {outcome.model for outcome in seen}
    others = [card for card in suited if card.backend not in makers]
    if any(card.name not in tried and query.fits(card.name, view) for card in others):
        return others
    return suited
