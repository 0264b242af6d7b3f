"""Reasoning text beside a chat completion: gathered from its pieces, kept to be sent back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentkit.messages import Native
from agentkit.types import ModelCard

_FIELDS = ("reasoning_content", "reasoning")  # DeepSeek and many others; vLLM and OpenRouter
_DETAILS = "reasoning_details"  # OpenRouter: summaries, text and what is encrypted, in pieces
_GROWING = ("text", "summary", "data")


class Thoughts:
    """The reasoning text of a reply under the names its server gives it, gathered from its pieces."""

    def __init__(self) -> None:
        self._text: dict[str, list[str]] = {}
        self._details: dict[object, dict[str, Any]] = {}

    def add(self, piece: Mapping[str, Any]) -> str:
        """Take the next piece and return the text it shows."""
        shown = ""
        for name in _FIELDS:
            if text := piece.get(name):
                if not isinstance(text, str):
                    raise TypeError("reasoning is not text")
                self._text.setdefault(name, []).append(text)
                shown = shown or text  # some servers send both, the same
        for detail in piece.get(_DETAILS) or ():
            self._add_detail(detail)
        return shown

    def native(self, dialect: str, card: ModelCard) -> Native | None:
        """Return the fields to send back, None if there are none."""
        fields: dict[str, Any] = {name: "".join(texts) for name, texts in self._text.items()}
        if self._details:
            fields[_DETAILS] = list(self._details.values())
        return Native(dialect, card.model, (fields,)) if fields else None

    def _add_detail(self, detail: Mapping[str, Any]) -> None:
        """Join a detail to what came under its index; text grows, the rest is said once."""
        index = detail.get("index")
        sofar = self._details.setdefault(len(self._details) if index is None else ("index", index), {})
        for name, value in detail.items():
            grows = name in _GROWING and isinstance(value, str)
            if grows:
                sofar[name] = (sofar.get(name) or "") + value
            elif value is not None or name not in sofar:
                sofar[name] = value
