"""OpenAI chat completions from the provider's side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from agentkit.backends.provider.face import CAP, STATUSES, Asked, Part, Problem, Sse, image_at, role_of, text_of
from agentkit.backends.provider.script import Turn
from agentkit.messages import Image, Message, ToolCall
from agentkit.types import Request, ToolSpec
from agentkit.usage import Usage

_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "refusal": "stop"}
_ERRORS: Mapping[Problem, tuple[str, str | None]] = {
    "rate": ("requests", "rate_limit_exceeded"),
    "overloaded": ("server_error", "server_is_overloaded"),
    "broken": ("server_error", None),
    "invalid": ("invalid_request_error", None),
    "unknown": ("invalid_request_error", "model_not_found"),
    "context": ("invalid_request_error", "context_length_exceeded"),
}


class ChatFace:
    """POST /v1/chat/completions.

    Thinking comes as `reasoning_content`, as DeepSeek, vLLM and others send it; OpenAI itself only counts it.
    """

    name: ClassVar[str] = "openai"
    statuses: ClassVar[Mapping[Problem, int]] = STATUSES
    caches_only_what_is_marked: ClassVar[bool] = False

    def read(self, body: Mapping[str, Any], path: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """Return what is asked; a deployment in the path, as at Azure, is the model."""
        wanted = body.get("response_format") or {}
        stop, choice = body.get("stop") or (), body.get("tool_choice", "auto")
        request = Request(
            messages=tuple(_message(message) for message in body["messages"]),
            max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or CAP,
            tools=tuple(_tool(tool["function"]) for tool in body.get("tools") or ()),
            tool_choice=choice if choice in ("none", "required") else "auto",
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            seed=body.get("seed"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            logprobs=bool(body.get("logprobs")),
            output_schema=(wanted.get("json_schema") or {}).get("schema"),
            reasoning_effort=body.get("reasoning_effort"),
        )
        return Asked(
            path.get("model") or body["model"],
            request,
            tuple(Part.of(value) for value in (*(body.get("tools") or ()), *body["messages"])),
            bool(body.get("stream")),
            not body.get("stream") or bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def whole(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Return the chat completion."""
        said = turn.said("text")
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if turn.reply.refusal else said or None,
            "refusal": said if turn.reply.refusal else None,
        }
        if turn.calls:
            message["tool_calls"] = [
                _call(turn, i) | {"function": {"name": call.name, "arguments": call.arguments}}
                for i, call in enumerate(turn.calls)
            ]
        if thinking := turn.said("thinking"):
            message["reasoning_content"] = thinking
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[turn.ending]}
        return _head(turn, "chat.completion") | {"choices": [choice], "usage": _usage(turn.usage)}

    def events(self, turn: Turn, asked: Asked) -> Iterator[Sse]:
        """Yield the chunks: role, tokens, finish reason, usage when it was asked for, and the end."""
        head = _head(turn, "chat.completion.chunk")
        silent: dict[str, Any] = {"usage": None} if asked.reports_usage else {}

        def chunk(delta: Mapping[str, Any], finish: str | None = None, *, is_token: bool = False) -> Sse:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return Sse(head | {"choices": [choice]} | silent, is_token=is_token)

        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in turn.pieces:
            yield chunk(_delta(turn, piece.kind, piece.text, piece.index), is_token=True)
        yield chunk({}, _FINISH[turn.ending])
        if asked.reports_usage:
            yield Sse(head | {"choices": [], "usage": _usage(turn.usage)})
        yield Sse("[DONE]")

    def error(self, problem: Problem, message: str, pause: float | None) -> dict[str, Any]:
        """Return the error as OpenAI says it."""
        return openai_error(problem, message)

    def too_long(self, tokens: int, window: int) -> str:
        """Return how it says that a prompt is too long."""
        return openai_too_long(tokens, window)

    def pause_headers(self, pause: float) -> dict[str, str]:
        """Return the headers that ask for a pause."""
        return {"retry-after": f"{pause:g}", "retry-after-ms": f"{pause * 1_000:g}"}


def openai_error(problem: Problem, message: str) -> dict[str, Any]:
    """Return an error body, which all interfaces of OpenAI share."""
    kind, code = _ERRORS[problem]
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openai_too_long(tokens: int, window: int) -> str:
    """Return how all interfaces of OpenAI say that a prompt is too long."""
    limit = f"This model's maximum context length is {window} tokens."
    return f"{limit} However, your messages resulted in {tokens} tokens."


def _head(turn: Turn, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{turn.number}", "object": kind, "created": 1_790_000_000, "model": turn.model}


def _call(turn: Turn, index: int) -> dict[str, Any]:
    call_id = turn.reply.calls[index].id or f"call_{turn.number}_{index}"
    return {"id": call_id, "type": "function"}


def _delta(turn: Turn, kind: str, text: str, index: int) -> dict[str, Any]:
    if kind == "call":
        function = {"name": text, "arguments": ""}
        return {"tool_calls": [{"index": index, **_call(turn, index), "function": function}]}
    if kind == "arguments":
        return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
    if kind == "thinking":
        return {"reasoning_content": text}
    return {"refusal" if turn.reply.refusal else "content": text}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.total_output,
        "total_tokens": usage.total_input + usage.total_output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _message(message: Mapping[str, Any]) -> Message:
    content, role = message.get("content"), message["role"]
    images: tuple[Image, ...] = ()
    if isinstance(content, list):
        images = tuple(image_at(part["image_url"]["url"]) for part in content if part["type"] == "image_url")
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return Message(role_of(role), text_of(content), calls, message.get("tool_call_id", ""), images=images)


def _tool(function: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(function["name"], function.get("description", ""), function.get("parameters") or {})
