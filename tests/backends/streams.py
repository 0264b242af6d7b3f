"""Streams as providers send them and what each says; a new dialect gains the tests that use this by one entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.backends import Assembler
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.dialect import Dialect
from agentkit.backends.gemini import Gemini
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.openai_responses import OpenAIResponses
from agentkit.messages import Message, Native, ToolCall
from agentkit.sse import ServerEvent, SseParser
from agentkit.types import Completion, ModelCard
from agentkit.usage import Usage

CARD = ModelCard("m", "test", "model-1")


@dataclass(frozen=True)
class Case:
    """A stream, and the reply and the thinking it says."""

    dialect: Dialect
    stream: bytes
    reply: Completion
    thinking: str = ""


def read(dialect: Dialect, chunks: Iterable[bytes], card: ModelCard = CARD) -> tuple[Completion, str]:
    """Read a stream that comes in `chunks`, as `RemoteBackend` does; returns the reply and the thinking."""
    parser, stream, reply, thinking = SseParser(), dialect.stream(card), Assembler(), ""
    for chunk in chunks:
        for event in parser.feed(chunk):
            for delta in stream.feed(event):
                reply.add(delta)
                thinking += delta.thinking
    reply.add(stream.last())
    return reply.partial(), thinking


def replay(dialect: Dialect, *events: object, card: ModelCard = CARD) -> Completion:
    """Read events that are JSON values, or text as it stands."""
    stream, reply = dialect.stream(card), Assembler()
    for event in events:
        for delta in stream.feed(ServerEvent(event if isinstance(event, str) else json.dumps(event))):
            reply.add(delta)
    reply.add(stream.last())
    return reply.partial()


def named(*events: Mapping[str, Any]) -> bytes:
    """Write events with their type as their name."""
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n" for e in events).encode()


def unnamed(*events: Mapping[str, Any]) -> bytes:
    """Write events without names, the lines ended as Google ends them."""
    return "".join(f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events).encode()


def _start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def _stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


_ANTHROPIC = named(
    {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 25, "output_tokens": 1}}},
    _start(0, type="thinking", thinking="", signature=""),
    {"type": "ping"},
    _delta(0, "thinking_delta", thinking="Let me "),
    _delta(0, "thinking_delta", thinking="see… 中"),
    _delta(0, "signature_delta", signature="EqQBCgIYAhIM=="),
    _stop(0),
    _start(1, type="text", text=""),
    _delta(1, "text_delta", text="Žluťoučký "),
    _delta(1, "text_delta", text="kůň 😀"),
    _stop(1),
    _start(2, type="tool_use", id="toolu_1", name="search", input={}),
    _delta(2, "input_json_delta", partial_json=""),
    _delta(2, "input_json_delta", partial_json='{"q": "é'),
    _delta(2, "input_json_delta", partial_json='中"}'),
    _stop(2),
    _start(3, type="tool_use", id="toolu_2", name="now", input={}),
    _delta(3, "input_json_delta", partial_json=""),
    _stop(3),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 89, "output_tokens_details": {"thinking_tokens": 40}},
    },
    {"type": "message_stop"},
)
_ANTHROPIC_NATIVE: tuple[Mapping[str, Any], ...] = (
    {"type": "thinking", "thinking": "Let me see… 中", "signature": "EqQBCgIYAhIM=="},
    {"type": "text", "text": "Žluťoučký kůň 😀"},
    {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "é中"}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
)


def _candidate(*parts: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}]


def _chunk(candidates: list[dict[str, Any]], **usage: int) -> dict[str, Any]:
    return {"candidates": candidates, "usageMetadata": {"promptTokenCount": 25, **usage}, "responseId": "r1"}


_GEMINI_CALL = {"functionCall": {"name": "search", "args": {"q": "é中"}}, "thoughtSignature": "Cs4B=="}
_GEMINI = unnamed(
    _chunk(_candidate({"text": "Let me ", "thought": True}), totalTokenCount=27, thoughtsTokenCount=2),
    _chunk(_candidate({"text": "see… 中", "thought": True}), totalTokenCount=65, thoughtsTokenCount=40),
    _chunk(_candidate({"text": "Žluťoučký "}), totalTokenCount=67, thoughtsTokenCount=40),
    _chunk(_candidate({"text": "kůň 😀"}), totalTokenCount=70, thoughtsTokenCount=40),
    _chunk(
        _candidate(_GEMINI_CALL, {"functionCall": {"name": "now", "args": {}}}, finishReason="STOP"),
        candidatesTokenCount=49,
        thoughtsTokenCount=40,
        totalTokenCount=114,
    ),
)
_GEMINI_NATIVE: tuple[Mapping[str, Any], ...] = (
    {"text": "Let me see… 中", "thought": True},
    {"text": "Žluťoučký kůň 😀"},
    _GEMINI_CALL,
    {"functionCall": {"name": "now", "args": {}}},
)


def _choice(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


def _piece(index: int, arguments: str, **head: str) -> dict[str, Any]:
    name = {"name": head.pop("name")} if head else {}
    return {"index": index, **head, "function": {**name, "arguments": arguments}}


_CHAT = (
    unnamed(
        _choice(role="assistant", content=""),
        _choice(reasoning_content="Let me "),
        _choice(reasoning_content="see… 中"),
        _choice(content="Žluťoučký "),
        _choice(content="kůň 😀"),
        _choice(tool_calls=[_piece(0, "", id="call_1", name="search"), _piece(1, "", id="call_2", name="now")]),
        _choice(tool_calls=[_piece(0, '{"q": "é'), _piece(1, "{")]),
        _choice(tool_calls=[_piece(1, "}"), _piece(0, '中"}')]),
        _choice("tool_calls"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 25,
                "completion_tokens": 89,
                "total_tokens": 114,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
        },
    )
    + b"data: [DONE]\n\n"
)


def _event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **more}


_REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Let me see… 中"}],
    "encrypted_content": "gAAAAB==",
}
_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Žluťoučký kůň 😀", "annotations": []}],
}
_SEARCH = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "search", "arguments": '{"q": "é中"}'}
_NOW = {"id": "fc_2", "type": "function_call", "call_id": "c2", "name": "now", "arguments": "{}"}
_RESPONSES_NATIVE: tuple[Mapping[str, Any], ...] = (_REASONING, _MESSAGE, _SEARCH, _NOW)
_RESPONSES = named(
    _event("created", response={"id": "resp_1", "status": "in_progress", "output": []}),
    _event("output_item.added", output_index=0, item={**_REASONING, "summary": [], "encrypted_content": ""}),
    _event("reasoning_summary_text.delta", output_index=0, delta="Let me "),
    _event("reasoning_summary_text.delta", output_index=0, delta="see… 中"),
    _event("output_item.done", output_index=0, item=_REASONING),
    _event("output_item.added", output_index=1, item={**_MESSAGE, "content": []}),
    _event("output_text.delta", output_index=1, delta="Žluťoučký "),
    _event("output_text.delta", output_index=1, delta="kůň 😀"),
    _event("output_text.done", output_index=1, text="Žluťoučký kůň 😀"),
    _event("output_item.added", output_index=2, item={**_SEARCH, "arguments": ""}),
    _event("output_item.added", output_index=3, item={**_NOW, "arguments": ""}),
    _event("function_call_arguments.delta", output_index=2, delta='{"q": "é'),
    _event("function_call_arguments.delta", output_index=3, delta="{}"),
    _event("function_call_arguments.delta", output_index=2, delta='中"}'),
    _event(
        "completed",
        response={
            "id": "resp_1",
            "status": "completed",
            "error": None,
            "output": _RESPONSES_NATIVE,
            "usage": {
                "input_tokens": 25,
                "output_tokens": 89,
                "output_tokens_details": {"reasoning_tokens": 40},
                "total_tokens": 114,
            },
        },
    ),
)


def _said(calls: tuple[ToolCall, ...], native: Native) -> Message:
    return Message("assistant", "Žluťoučký kůň 😀", calls, native=native)


CASES: Mapping[str, Case] = {
    "openai": Case(
        OpenAIChat(),
        _CHAT,
        Completion(
            _said(
                (ToolCall("call_1", "search", '{"q": "é中"}'), ToolCall("call_2", "now", "{}")),
                Native("openai", CARD.model, ({"reasoning_content": "Let me see… 中"},)),
            ),
            "tool_calls",
            Usage(25, output_tokens=49, reasoning_tokens=40),
        ),
        "Let me see… 中",
    ),
    "openai-responses": Case(
        OpenAIResponses(),
        _RESPONSES,
        Completion(
            _said(
                (ToolCall("c1", "search", '{"q": "é中"}'), ToolCall("c2", "now", "{}")),
                Native("openai-responses", CARD.model, _RESPONSES_NATIVE),
            ),
            "tool_calls",
            Usage(25, output_tokens=49, reasoning_tokens=40),
        ),
        "Let me see… 中",
    ),
    "anthropic": Case(
        Anthropic(),
        _ANTHROPIC,
        Completion(
            _said(
                (ToolCall("toolu_1", "search", '{"q": "é中"}'), ToolCall("toolu_2", "now", "{}")),
                Native("anthropic", CARD.model, _ANTHROPIC_NATIVE),
            ),
            "tool_calls",
            Usage(25, output_tokens=49, reasoning_tokens=40),
        ),
        "Let me see… 中",
    ),
    "gemini": Case(
        Gemini(),
        _GEMINI,
        Completion(
            _said(
                (ToolCall("r1-0", "search", '{"q": "\\u00e9\\u4e2d"}'), ToolCall("r1-1", "now", "{}")),
                Native("gemini", CARD.model, _GEMINI_NATIVE),
            ),
            "tool_calls",
            Usage(25, output_tokens=49, reasoning_tokens=40),
        ),
        "Let me see… 中",
    ),
}
