"""Fusion: ask a panel, and have a model merge what it says (LLM-Blender, arXiv 2306.02561; mixture of agents,
arXiv 2406.04692).

Where all say the same there is nothing to merge. Where the merging call fails or does not fit, the vote decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.messages import user
from agentkit.routers.base import Ask, Call, Decision, Outcome, Query, Stop
from agentkit.routers.panel import waiting
from agentkit.routers.votes import tally, winner
from agentkit.types import ModelCard, ScopeView

MOST_TOKENS = 1_024
"""Tokens of a merged answer."""
_MOST_CHARACTERS = 4_000  # of a candidate in the prompt


class FusionRouter:
    """Asks the models of `panel`, then `fuser` for one answer made of theirs.

    Replies that call tools are not merged but voted on.
    """

    def __init__(self, panel: Sequence[str], fuser: str) -> None:
        self.panel, self.fuser = tuple(panel), fuser

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Call the next of the panel, then the fuser, then stop with its reply or with the vote's."""
        if seen and seen[-1].asked:
            if seen[-1].valid:
                return Stop(len(seen) - 1, f"{len(seen) - 1} answers in one")
            return self._voted(seen, "they could not be merged")
        left = waiting(self.panel, query, candidates, seen, view)
        if left:
            return Call(left[0], f"candidate {len(seen) + 1} of {len(self.panel)}")
        valid = [outcome for outcome in seen if outcome.valid]
        if any(outcome.completion and outcome.completion.message.tool_calls for outcome in valid):
            return self._voted(seen, "calls of tools are not merged")
        if len(tally(valid, {})) < 2:
            return self._voted(seen, "there is nothing to merge")
        if self.fuser not in query.bounds:
            return self._voted(seen, f"{self.fuser!r}, which merges, is no model of the agent that can be called")
        texts = [outcome.completion.message.text for outcome in valid if outcome.completion]
        ask = Ask((user(_prompt(texts)),), MOST_TOKENS, in_conversation=True)
        return Call(self.fuser, f"{len(texts)} candidates differ", ask)

    @staticmethod
    def _voted(seen: Sequence[Outcome], why: str) -> Stop:
        panel = [outcome for outcome in seen if not outcome.asked]
        even = {outcome.model: 1.0 for outcome in panel}
        return Stop(winner(panel, tally(panel, even), even), f"the vote decides: {why}")


def _prompt(texts: Sequence[str]) -> str:
    shown = "\n\n".join(f"Candidate {n}:\n{text[:_MOST_CHARACTERS]}" for n, text in enumerate(texts, 1))
    return (
        f"Others have answered this already:\n\n{shown}\n\nAny of them may be wrong, however many agree. Weigh "
        "them, keep what is right, and give one answer in the form that was asked for, without mentioning them."
    )
