"""Who of a panel is still to be asked: several models, or one of them several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentkit.routers.base import Outcome, Query
from agentkit.types import ModelCard, ScopeView


def waiting(
    panel: Sequence[str],
    query: Query,
    candidates: Sequence[ModelCard],
    seen: Sequence[Outcome],
    view: ScopeView,
) -> list[str]:
    """Return the members of `panel` that were not asked yet and can be, in order."""
    able = {card.name for card in candidates if card.capabilities.tools or not query.needs_tools}
    asked = Counter(outcome.model for outcome in seen if not outcome.asked)
    left = []
    for model in panel:
        if asked[model]:
            asked[model] -= 1
        elif model in able and query.fits(model, view):
            left.append(model)
    return left
