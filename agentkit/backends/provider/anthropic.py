"""Anthropic messages from the provider's side."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from agentkit.backends.provider.face import STATUSES, Asked, Part, Problem, Sse, text_of
from agentkit.backends.provider.script import Piece, Turn, object_of
from agentkit.messages import Image, Message, ToolCall
from agentkit.types import Request, ToolSpec
from agentkit.usage import Usage

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "refusal": "refusal"}
_ERRORS: Mapping[Problem, str] = {
    "rate": "rate_limit_error",
    "overloaded": "overloaded_error",
    "broken": "api_error",
    "invalid": "invalid_request_error",
    "unknown": "not_found_error",
    "context": "invalid_request_error",
}
_MOST_BREAKPOINTS = 4
_DELTAS = {"thinking": ("thinking_delta", "thinking"), "text": ("text_delta", "text")}


class AnthropicFace:
    """POST /v1/messages. What is cached is what the request marks, as in the real one."""

    name: ClassVar[str] = "anthropic"
    statuses: ClassVar[Mapping[Problem, int]] = {**STATUSES, "overloaded": 529}
    caches_only_what_is_marked: ClassVar[bool] = True

    def read(self, body: Mapping[str, Any], path: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """Return what is asked; as strict as the real one about version, cap, turns and breakpoints."""
        if "anthropic-version" not in headers:
            raise ValueError("anthropic-version: header is required")
        if body["messages"][0]["role"] != "user":
            raise ValueError("messages: first message must use the user role")
        system, choice = _blocks(body.get("system") or []), body.get("tool_choice") or {}
        blocks = [block for message in body["messages"] for block in _blocks(message["content"])]
        parts = tuple(Part.of(value) for value in (*(body.get("tools") or ()), *system, *blocks))
        if sum(part.is_breakpoint for part in parts) > _MOST_BREAKPOINTS:
            raise ValueError(f"a maximum of {_MOST_BREAKPOINTS} blocks with cache_control may be provided")
        wanted = body.get("output_config") or {}
        request = Request(
            messages=tuple(_messages(text_of(system), body["messages"])),
            max_output_tokens=body["max_tokens"],
            tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
            tool_choice={"any": "required", "none": "none"}.get(choice.get("type", "auto"), "auto"),  # type: ignore[arg-type]
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            stop=tuple(body.get("stop_sequences") or ()),
            output_schema=(wanted.get("format") or {}).get("schema"),
            reasoning_effort=wanted.get("effort"),
        )
        return Asked(body["model"], request, parts, bool(body.get("stream")), forced=choice.get("name", ""))

    def whole(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Return the message."""
        content = []
        if thinking := turn.said("thinking"):
            content.append({"type": "thinking", "thinking": thinking, "signature": _signature(turn)})
        if text := turn.said("text"):
            content.append({"type": "text", "text": text})
        content += [
            _tool_use(turn, index) | {"input": object_of(call.arguments) or {}}
            for index, call in enumerate(turn.calls)
        ]
        ending = {"stop_reason": _FINISH[turn.ending], "stop_sequence": None}
        return _head(turn) | {"content": content, **ending, "usage": _usage(turn.usage)}

    def events(self, turn: Turn, asked: Asked) -> Iterator[Sse]:
        """Yield the events: each block opened, filled and closed, and the usage so far at either end."""
        begun = _usage(turn.usage) | {"output_tokens": 1}
        message = _head(turn) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": begun}
        yield _event("message_start", message=message)
        for at, pieces in enumerate(_runs(turn.pieces)):
            yield _event("content_block_start", index=at, content_block=_empty(turn, pieces[0]))
            if at == 0:
                yield _event("ping")
            if pieces[0].kind == "call":  # the first piece is the name, which the block has
                pieces = [Piece("arguments", ""), *pieces[1:]]
            for piece in pieces:
                yield _event("content_block_delta", True, index=at, delta=_delta(piece))
            if pieces[0].kind == "thinking":
                delta = {"type": "signature_delta", "signature": _signature(turn)}
                yield _event("content_block_delta", index=at, delta=delta)
            yield _event("content_block_stop", index=at)
        ending = {"stop_reason": _FINISH[turn.ending], "stop_sequence": None}
        yield _event("message_delta", delta=ending, usage=_usage(turn.usage))
        yield _event("message_stop")

    def error(self, problem: Problem, message: str, pause: float | None) -> dict[str, Any]:
        """Return the error as Anthropic says it."""
        return {"type": "error", "error": {"type": _ERRORS[problem], "message": message}, "request_id": "req_1"}

    def too_long(self, tokens: int, window: int) -> str:
        """Return how it says that a prompt is too long."""
        return f"prompt is too long: {tokens} tokens > {window} maximum"

    def pause_headers(self, pause: float) -> dict[str, str]:
        """Return the headers that ask for a pause."""
        return {"retry-after": f"{pause:g}"}


def _event(kind: str, is_token: bool = False, **fields: Any) -> Sse:
    return Sse({"type": kind, **fields}, kind, is_token)


def _runs(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces of each content block."""
    run: list[Piece] = []
    for piece in pieces:
        starts = piece.kind != run[-1].kind and piece.kind != "arguments" if run else False
        if run and (starts or piece.kind == "call"):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _empty(turn: Turn, first: Piece) -> dict[str, Any]:
    if first.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""} if first.kind == "text" else _tool_use(turn, first.index) | {"input": {}}


def _delta(piece: Piece) -> dict[str, str]:
    kind, field = _DELTAS.get(piece.kind, ("input_json_delta", "partial_json"))
    return {"type": kind, field: piece.text}


def _tool_use(turn: Turn, index: int) -> dict[str, Any]:
    call = turn.reply.calls[index]
    return {"type": "tool_use", "id": call.id or f"toolu_{turn.number}_{index}", "name": call.name}


def _head(turn: Turn) -> dict[str, Any]:
    return {"id": f"msg_{turn.number}", "type": "message", "role": "assistant", "model": turn.model}


def _signature(turn: Turn) -> str:
    return f"signed-{turn.number}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise TypeError(f"content is {type(content).__name__}, not text or a list of blocks")
    return content


def _messages(system: str, turns: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    """Yield the messages; a user's turn may hold results of tools, each of which is a message of its own."""
    if system:
        yield Message("system", system)
    for turn in turns:
        blocks = _blocks(turn["content"])
        if turn["role"] == "assistant":
            calls = tuple(
                ToolCall(block["id"], block["name"], json.dumps(block["input"]))
                for block in blocks
                if block["type"] == "tool_use"
            )
            yield Message("assistant", text_of(blocks), calls)
            continue
        for block in blocks:
            if block["type"] == "tool_result":
                yield Message("tool", text_of(block.get("content") or ""), call_id=block["tool_use_id"])
        images = tuple(_image(block["source"]) for block in blocks if block["type"] == "image")
        if images or any(block["type"] == "text" for block in blocks):
            yield Message("user", text_of(blocks), images=images)


def _image(source: Mapping[str, str]) -> Image:
    if source["type"] == "url":
        return Image(url=source["url"])
    return Image(source["media_type"], base64.b64decode(source["data"]))


def _tool(tool: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(tool["name"], tool.get("description") or "", tool["input_schema"])
