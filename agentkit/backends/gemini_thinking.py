"""How the families of Gemini models are told how much to think. As of November 2026."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentkit.backends.effort import effort_of, thinking_budget
from agentkit.types import Effort, ModelCard, Request

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST = (9, 0)
_LEVELS: Mapping[Effort, str] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
}
_PRO_LEVELS = {**_LEVELS, "none": "LOW", "minimal": "LOW"}
_BUDGETS = (("flash-lite", 512, 24_576), ("pro", 128, 32_768), ("", 1, 24_576))
"""The least and the most thinking of the 2.5 models, in tokens; only pro cannot do without."""


def version_of(model: str) -> tuple[int, int]:
    """Return the version of a Gemini model, (0, 0) for other models and the newest where the name has none."""
    if "gemini" not in model:
        return 0, 0
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def thinking_config(request: Request, card: ModelCard) -> dict[str, Any]:
    """Return how much to think, nothing for the model's own way.

    Thoughts are part of the output that maxOutputTokens caps, so a budget leaves room for the answer. A level that
    a model does not have becomes the next one it has.
    """
    effort = effort_of(request, card)
    if effort is None:
        return {}
    shown = {"includeThoughts": True} if effort != "none" else {}
    version = version_of(card.model)
    if version >= (3, 0):
        level = (_PRO_LEVELS if "pro" in card.model else _LEVELS)[effort]
        if level == "MEDIUM" and version == (3, 0) and "pro" in card.model:
            level = "HIGH"
        return {"thinkingLevel": level, **shown}
    if version < (2, 5):
        return {}
    least, most = next((least, most) for name, least, most in _BUDGETS if name in card.model)
    budget = thinking_budget(effort, request.max_output_tokens, least=least, most=most)
    if not budget:
        return {"thinkingBudget": least if "pro" in card.model else 0}
    return {"thinkingBudget": budget, **shown}
