"""Verifier choice: ask a panel, and take the reply that a verifier believes in most.

a* = argmax_i q̂_i,   q̂_i the probability that reply i is right, the others' answers taken into account
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.routers.base import Call, Decision, Outcome, Query, Stop
from agentkit.routers.cascade_routing import VerifyingEstimator
from agentkit.routers.panel import waiting
from agentkit.types import ModelCard, ScopeView


class BestOfRouter:
    """Asks all models of `panel`, one several times if it is named so, and takes the reply believed in most.

    Cascade routing stops as soon as a belief is good enough for its price; this asks everybody. Calls of tools
    that validate are taken as they are, unless the verifier has learnt to judge them.
    """

    def __init__(self, panel: Sequence[str], verifier: VerifyingEstimator, *, judges_calls: bool = False) -> None:
        self.panel, self.verifier, self.judges_calls = tuple(panel), verifier, judges_calls

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Call the next of the panel, then stop with the valid reply of highest belief."""
        last = seen[-1].completion if seen and seen[-1].valid else None
        if last is not None and last.message.tool_calls and not self.judges_calls:
            return Stop(len(seen) - 1, "a call of tools is no answer to judge yet")
        left = waiting(self.panel, query, candidates, seen, view)
        if left:
            return Call(left[0], f"candidate {len(seen) + 1} of {len(self.panel)}")
        beliefs = self.verifier.judge(query, candidates, seen)
        replies = (place for place, outcome in enumerate(seen) if outcome.completion)
        best = max(replies, key=lambda place: (seen[place].valid, beliefs[place]), default=None)
        if best is None:
            return Stop(None, "nobody of the panel could be asked")
        return Stop(best, f"believed with {beliefs[best]:.2f}, the most of {len(seen)}")
