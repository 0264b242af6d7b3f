"""The Budget Tracker: one line for the model when its budget changes band (arXiv 2511.17006).

The paper appends the full state of the budget to every tool response. Here the model reads one short line,
and only when the band of the scarcest resource changes.
"""

from __future__ import annotations

import math
from typing import Literal

from agentkit.types import ScopeView

Band = Literal["HIGH", "MEDIUM", "LOW", "CRITICAL"]


class Tracker:
    """Turns the views of one scope into notes for its model."""

    def __init__(self) -> None:
        self._band: Band = "HIGH"

    def note(self, view: ScopeView, deadline_share: float | None = None) -> str | None:
        """Return a line such as `Budget LOW: 23% of usd left.` when the band has changed, else None.

        A budget starts in band HIGH. `deadline_share` is the part of the wall time that is left, 0..1, and
        counts as the resource `seconds`. A limit of 0 was never there to run out of, so it does not count.
        """
        percents = _percents(view, deadline_share)
        if not percents:
            return None
        percent, resource = min(percents)
        band = _band(percent)
        if band == self._band:
            return None
        self._band = band
        return f"Budget {band}: {percent}% of {resource} left."


def _percents(view: ScopeView, deadline_share: float | None) -> list[tuple[int, str]]:
    """Return what is left by resource, in whole percent rounded down."""
    left = [
        (max(0, limit - view.spent[resource]) * 100 // limit, resource)
        for resource, limit in view.limits.items()
        if limit
    ]
    if deadline_share is not None:
        # Rounding first: 0.29 * 100 is 28.999999999999996 in binary.
        left.append((math.floor(round(max(0.0, deadline_share) * 100, 9)), "seconds"))
    return left


def _band(percent: int) -> Band:
    if percent >= 70:
        return "HIGH"
    if percent >= 30:
        return "MEDIUM"
    return "LOW" if percent >= 10 else "CRITICAL"
