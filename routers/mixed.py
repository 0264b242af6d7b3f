"""Two routers, drawn between query by query, so that a mean spend is met exactly.

Where a knob jumps from one spend to another, the best that can be had in between is a draw (arXiv 2410.10347,
Theorem 1: ties are broken at random with the probability that meets the budget). The draw is a hash of the query's
text: the same query always goes the same way, and nothing has a state.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from agentkit.routers.base import Decision, Outcome, Query, Router
from agentkit.types import ModelCard, ScopeView


class MixedRouter:
    """Sends a `share` of the queries, 0 to 1, to `first` and the rest to `second`."""

    def __init__(self, first: Router, second: Router, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return what the router that is drawn for this query says."""
        drawn = crc32(b"mix" + query.text.encode("utf-8", "surrogatepass")) / 2**32
        return (self.first if drawn < self.share else self.second).next(query, candidates, seen, view)
