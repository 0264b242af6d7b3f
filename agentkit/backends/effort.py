"""Reasoning effort under an output cap, which includes what is thought."""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.types import Effort, ModelCard, Request

LEAST_ROOM = 1_280
"""Tokens; under a smaller cap a model that thinks unasked may not come to its answer."""

_SHARE: Mapping[Effort, float] = {"none": 0.0, "minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8}
_MOST = 32_000


def effort_of(request: Request, card: ModelCard) -> Effort | None:
    """Return the effort to ask for, None for the model's own way: that is "none" where the cap is small."""
    if not card.capabilities.reasoning_effort:
        return None
    if request.reasoning_effort is None and request.max_output_tokens < LEAST_ROOM:
        return "none"
    return request.reasoning_effort


def thinking_budget(effort: Effort | None, output_cap: int, *, least: int, most: int = _MOST) -> int:
    """Return the tokens of `output_cap` that may go into thinking, 0 for none.

    It is a share of the cap, since the cap is what is held; the rest is left for the answer. Where the least
    budget a model takes would leave less than a fifth, there is no thinking.
    """
    if effort is None or effort == "none" or least > output_cap * max(_SHARE.values()):
        return 0
    return max(least, min(int(output_cap * _SHARE[effort]), most))
