"""Gemini generateContent from the provider's side."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from agentkit.backends.provider.face import CAP, STATUSES, Asked, Part, Problem, Sse
from agentkit.backends.provider.script import Piece, Turn, object_of
from agentkit.messages import Image, Message, ToolCall
from agentkit.types import Effort, Request, ToolSpec
from agentkit.usage import Usage

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "refusal": "SAFETY"}
_ERRORS: Mapping[Problem, str] = {
    "rate": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "broken": "INTERNAL",
    "invalid": "INVALID_ARGUMENT",
    "unknown": "NOT_FOUND",
    "context": "INVALID_ARGUMENT",
}


class GeminiFace:
    """POST /v1beta/models/{model}:generateContent and :streamGenerateContent?alt=sse.

    Calls have no ids, as in older models: a result is told by the name of its tool.
    """

    name: ClassVar[str] = "gemini"
    statuses: ClassVar[Mapping[Problem, int]] = STATUSES
    caches_only_what_is_marked: ClassVar[bool] = False

    def read(self, body: Mapping[str, Any], path: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """Return what is asked."""
        config, system = body.get("generationConfig") or {}, body.get("systemInstruction")
        level = (config.get("thinkingConfig") or {}).get("thinkingLevel")
        mode = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode", "AUTO")
        tools = [tool for group in body.get("tools") or () for tool in group.get("functionDeclarations") or ()]
        request = Request(
            messages=tuple(_messages(system, body["contents"])),
            max_output_tokens=config.get("maxOutputTokens") or CAP,
            tools=tuple(_tool(tool) for tool in tools),
            tool_choice={"ANY": "required", "NONE": "none"}.get(mode, "auto"),  # type: ignore[arg-type]
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            seed=config.get("seed"),
            stop=tuple(config.get("stopSequences") or ()),
            output_schema=config.get("responseJsonSchema") or config.get("responseSchema"),
            reasoning_effort=cast(Effort, level.lower()) if level else None,
        )
        parts = tuple(Part.of(value) for value in (*tools, *([system] if system else ()), *body["contents"]))
        return Asked(path["model"], request, parts, path["verb"] == "streamGenerateContent")

    def whole(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Return the response."""
        parts = [{"text": text, "thought": True} for text in [turn.said("thinking")] if text]
        parts += [{"text": text} for text in [turn.said("text")] if text]
        for index in range(len(turn.calls)):
            parts += _call(turn, index)
        return _response(turn, parts, turn.usage, _FINISH[turn.ending])

    def events(self, turn: Turn, asked: Asked) -> Iterator[Sse]:
        """Yield pieces of the response, each with the usage so far; calls come whole, nothing marks the end."""
        for made, piece in enumerate(turn.pieces, 1):
            if parts := _parts(turn, piece):
                yield Sse(_response(turn, parts, _so_far(turn, made)), is_token=True)
        calls = [part for index in range(len(turn.calls)) for part in _call(turn, index)]
        yield Sse(_response(turn, calls or [{"text": ""}], turn.usage, _FINISH[turn.ending]))

    def error(self, problem: Problem, message: str, pause: float | None) -> dict[str, Any]:
        """Return the error as Google says it, the pause among its details."""
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details = [] if pause is None else [{"@type": kind, "retryDelay": f"{pause:g}s"}]
        status = {"code": self.statuses[problem], "message": message, "status": _ERRORS[problem]}
        return {"error": {**status, "details": details}}

    def too_long(self, tokens: int, window: int) -> str:
        """Return how it says that a prompt is too long."""
        return f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window})."

    def pause_headers(self, pause: float) -> dict[str, str]:
        """Return none: the body says it."""
        return {}


def _response(turn: Turn, parts: list[dict[str, Any]], usage: Usage, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(usage),
        "modelVersion": turn.model,
        "responseId": f"response-{turn.number}",
    }


def _parts(turn: Turn, piece: Piece) -> list[dict[str, Any]]:
    """Return the part that a token is; the tokens of calls make none of their own."""
    if piece.kind in ("thinking", "text"):
        return [{"text": piece.text, "thought": True} if piece.kind == "thinking" else {"text": piece.text}]
    return []


def _call(turn: Turn, index: int) -> list[dict[str, Any]]:
    """Return a call as a part; one that was cut is none. The first carries a signature after thinking."""
    call = turn.calls[index]
    arguments = object_of(call.arguments)
    if arguments is None:
        return []
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments}}
    if index == 0 and turn.said("thinking"):
        part["thoughtSignature"] = base64.b64encode(f"signed-{turn.number}".encode()).decode()
    return [part]


def _so_far(turn: Turn, made: int) -> Usage:
    thought = min(made, turn.usage.reasoning_tokens)
    return Usage(
        turn.usage.input_tokens,
        turn.usage.cache_read_tokens,
        output_tokens=made - thought,
        reasoning_tokens=thought,
    )


def _usage(usage: Usage) -> dict[str, Any]:
    record = {"promptTokenCount": usage.total_input}
    if usage.cache_read_tokens:
        record["cachedContentTokenCount"] = usage.cache_read_tokens
    record["candidatesTokenCount"] = usage.output_tokens
    if usage.reasoning_tokens:
        record["thoughtsTokenCount"] = usage.reasoning_tokens
    return record | {"totalTokenCount": usage.total_input + usage.total_output}


def _messages(system: Mapping[str, Any] | None, contents: list[Mapping[str, Any]]) -> Iterator[Message]:
    """Yield the messages; a result of a tool is a message of its own."""
    if system:
        yield Message("system", "".join(part["text"] for part in system["parts"]))
    for content in contents:
        parts = content["parts"]
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        if content.get("role") == "model":
            wanted = [part["functionCall"] for part in parts if "functionCall" in part]
            calls = (
                ToolCall(call.get("id", ""), call["name"], json.dumps(call.get("args") or {})) for call in wanted
            )
            yield Message("assistant", text, tuple(calls))
            continue
        for result in (part["functionResponse"] for part in parts if "functionResponse" in part):
            yield Message("tool", _said(result["response"]), call_id=result.get("id", ""), name=result["name"])
        images = tuple(_image(part) for part in parts if "inlineData" in part or "fileData" in part)
        if images or text:
            yield Message("user", text, images=images)


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    return ToolCall(call.get("id", ""), call["name"], json.dumps(call.get("args") or {}))


def _said(response: Mapping[str, Any]) -> str:
    """Return what a tool said: the text that stands in an object for itself, else the object."""
    texts = [value for name, value in response.items() if name in ("output", "result") and isinstance(value, str)]
    return texts[0] if len(response) == len(texts) == 1 else json.dumps(response)


def _image(part: Mapping[str, Any]) -> Image:
    if file := part.get("fileData"):
        return Image(file.get("mimeType", ""), url=file["fileUri"])
    return Image(part["inlineData"]["mimeType"], base64.b64decode(part["inlineData"]["data"]))


def _tool(tool: Mapping[str, Any]) -> ToolSpec:
    schema = tool.get("parametersJsonSchema") or tool.get("parameters") or {}
    return ToolSpec(tool["name"], tool.get("description") or "", schema)
