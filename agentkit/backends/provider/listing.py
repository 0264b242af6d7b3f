"""The list of models as each provider gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def openai_listing(names: Sequence[str]) -> dict[str, Any]:
    """Return what OpenAI says to GET /v1/models."""
    data = [{"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "script"} for name in names]
    return {"object": "list", "data": data}


def anthropic_listing(names: Sequence[str]) -> dict[str, Any]:
    """Return what Anthropic says to GET /v1/models."""
    born = "2026-10-01T00:00:00Z"
    data = [{"type": "model", "id": name, "display_name": name, "created_at": born} for name in names]
    return {"data": data, "has_more": False, "first_id": names[0] if names else None, "last_id": None}


def gemini_listing(names: Sequence[str]) -> dict[str, Any]:
    """Return what Google says to GET /v1beta/models."""
    methods = ["generateContent", "streamGenerateContent"]
    return {"models": [{"name": f"models/{name}", "supportedGenerationMethods": methods} for name in names]}
