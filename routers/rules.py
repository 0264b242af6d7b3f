"""The rule-based router: the cheapest model that fits, and the next one up when its reply does not validate."""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.costs import Cost
from agentkit.routers.base import Call, Decision, Outcome, Query, Stop
from agentkit.types import ModelCard, ScopeView


class RuleRouter:
    """Cheapest that fits, then up. `order` names models from first to last tried; default is by price.

    Models that an `order` does not name are left out, or with `others` tried after those it names, by price.
    """

    def __init__(self, order: Sequence[str] = (), *, others: bool = False) -> None:
        self.order, self.others = tuple(order), others or not order

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Escalate past every model that failed on this step; stop at the first valid reply."""
        if seen and seen[-1].valid:
            return Stop(len(seen) - 1, "the reply is valid")
        tried = {outcome.model for outcome in seen}
        able = [card for card in self._sorted(candidates, query) if query.fits(card.name, view)]
        left = [card.name for card in able if card.name not in tried]
        fresh = [name for name in left if name not in query.weak]
        if fresh:
            return Call(fresh[0], _reason(seen, query))
        if left and not any(outcome.completion for outcome in seen):
            return Call(left[-1], "no other model fits the budget; this is the strongest of the weak")
        return _stop_with_best(seen)

    def _sorted(self, candidates: Sequence[ModelCard], query: Query) -> list[ModelCard]:
        able = [card for card in candidates if card.capabilities.tools or not query.needs_tools]
        rank = {name: place for place, name in enumerate(self.order)}
        named = sorted((card for card in able if card.name in rank), key=lambda card: rank[card.name])
        rest = [card for card in able if card.name not in rank] if self.others else []
        return [*named, *sorted(rest, key=lambda card: _price_rank(card, query))]


def _price_rank(card: ModelCard, query: Query) -> tuple[bool, int]:
    """Unknown prices come last: they may be anything."""
    return card.price is None, query.bounds.get(card.name, Cost())["usd"]


def _reason(seen: Sequence[Outcome], query: Query) -> str:
    if seen:
        return f"{seen[-1].model}: {'; '.join(seen[-1].problems) or 'no reply'}"
    return "the cheapest not found wanting in this step" if query.weak else "the cheapest that fits"


def _stop_with_best(seen: Sequence[Outcome]) -> Stop:
    replies = [place for place, outcome in enumerate(seen) if outcome.completion is not None]
    if not replies:
        return Stop(None, "no model could be called" if not seen else "every model failed")
    return Stop(replies[-1], "no stronger model is left")
