"""Reasoning text beside chat completions: shown, gathered, and sent back where it belongs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentkit.backends.openai_chat import OpenAIChat
from agentkit.messages import Message, Native
from agentkit.types import ModelCard, Request
from tests.backends.streams import CARD, read

CHAT = OpenAIChat()
DETAILS = [
    {"type": "reasoning.text", "index": 0, "text": "The moon ", "format": "f"},
    {"type": "reasoning.text", "index": 0, "text": "is high."},
    {"type": "reasoning.text", "index": 0, "text": None, "signature": "sig"},
    {"type": "reasoning.encrypted", "index": 1, "data": "abc"},
]
JOINED = [
    {"type": "reasoning.text", "index": 0, "text": "The moon is high.", "format": "f", "signature": "sig"},
    {"type": "reasoning.encrypted", "index": 1, "data": "abc"},
]
NOW = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": "{}"}}
THOUGHTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "DeepSeek": (
        [{"reasoning_content": "The moon "}, {"reasoning_content": "is high."}],
        {"reasoning_content": "The moon is high."},
    ),
    "vLLM": ([{"reasoning": "The moon is high."}], {"reasoning": "The moon is high."}),
    "both names": (
        [{"reasoning": "The moon is high.", "reasoning_content": "The moon is high."}],
        {"reasoning": "The moon is high.", "reasoning_content": "The moon is high."},
    ),
    "OpenRouter": (
        [{"reasoning": "The moon is high."}, *({"reasoning_details": [detail]} for detail in DETAILS)],
        {"reasoning": "The moon is high.", "reasoning_details": JOINED},
    ),
}


@pytest.mark.parametrize("name", THOUGHTS)
def test_reasoning_goes_back_with_the_calls_it_led_to_and_to_its_model_only(name: str) -> None:
    pieces, fields = THOUGHTS[name]
    chunks: list[Any] = [{"choices": [{"delta": piece}]} for piece in [*pieces, {"tool_calls": [NOW]}]]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    reply, thinking = read(CHAT, (f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks))
    assert (thinking, reply.message.text) == ("The moon is high.", "")
    message = {"content": None, "tool_calls": [NOW], **fields}
    whole = CHAT.parse_response({"choices": [{"message": message, "finish_reason": "tool_calls"}]}, CARD).message
    assert whole.native == reply.message.native == Native("openai", CARD.model, (fields,))

    def sent(turn: Message, to: ModelCard = CARD) -> set[str]:
        (said,) = CHAT.build_request(Request(messages=(turn,), max_output_tokens=1), to)["messages"]
        assert all(said[field] == value for field, value in fields.items() if field in said)
        return set(said)

    assert sent(whole) == {"role", "content", "tool_calls", *fields}
    assert sent(whole, ModelCard("m", "openai", "another")) == {"role", "content", "tool_calls"}
    assert sent(replace(whole, tool_calls=())) == {"role", "content"}  # DeepSeek refuses it in finished turns
