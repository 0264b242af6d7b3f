"""OpenAI responses from the provider's side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from agentkit.backends.provider.face import CAP, STATUSES, Asked, Part, Problem, Sse, image_at, role_of, text_of
from agentkit.backends.provider.openai_chat import openai_error, openai_too_long
from agentkit.backends.provider.script import Piece, Turn
from agentkit.messages import Image, Message, ToolCall
from agentkit.types import Request, ToolSpec
from agentkit.usage import Usage

Emit = Callable[..., Sse]


class ResponsesFace:
    """POST /v1/responses. The state of a conversation is the caller's: nothing is stored."""

    name: ClassVar[str] = "openai-responses"
    statuses: ClassVar[Mapping[Problem, int]] = STATUSES
    caches_only_what_is_marked: ClassVar[bool] = False

    def read(self, body: Mapping[str, Any], path: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """Return what is asked; reasoning items that come back are part of the prompt only."""
        items = body["input"]
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        instructions = body.get("instructions")
        messages = [Message("system", instructions)] if instructions else []
        for item in items:
            _take(item, messages)
        choice, wanted = body.get("tool_choice", "auto"), (body.get("text") or {}).get("format") or {}
        request = Request(
            messages=tuple(messages),
            max_output_tokens=body.get("max_output_tokens") or CAP,
            tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
            tool_choice=choice if choice in ("none", "required") else "auto",
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            output_schema=wanted.get("schema"),
            reasoning_effort=(body.get("reasoning") or {}).get("effort"),
        )
        head = ({"instructions": instructions},) if instructions else ()
        parts = tuple(Part.of(value) for value in (*(body.get("tools") or ()), *head, *items))
        return Asked(body["model"], request, parts, bool(body.get("stream")))

    def whole(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Return the response."""
        output: list[dict[str, Any]] = []
        for kind, pieces in _runs(turn):
            output.append(_item(turn, len(output), kind, pieces, "completed"))
        return _response(turn, asked, output)

    def events(self, turn: Turn, asked: Asked) -> Iterator[Sse]:
        """Yield the numbered events: created, each item as it is made, and the response when it ends."""
        count = 0

        def emit(kind: str, is_token: bool = False, **fields: Any) -> Sse:
            nonlocal count
            count += 1
            return Sse({"type": kind, "sequence_number": count - 1, **fields}, kind, is_token)

        begun = _response(turn, asked, []) | {"status": "in_progress", "usage": None, "incomplete_details": None}
        yield emit("response.created", response=begun)
        yield emit("response.in_progress", response=begun)
        for at, (kind, pieces) in enumerate(_runs(turn)):
            place: dict[str, Any] = {"output_index": at}
            yield emit("response.output_item.added", **place, item=_item(turn, at, kind, [], "in_progress"))
            item = _item(turn, at, kind, pieces, "completed")
            yield from _made(emit, turn, kind, pieces, place | {"item_id": item["id"]})
            yield emit("response.output_item.done", **place, item=item)
        whole = self.whole(turn, asked)
        yield emit(f"response.{whole['status']}", response=whole)

    def error(self, problem: Problem, message: str, pause: float | None) -> dict[str, Any]:
        """Return the error as OpenAI says it."""
        return openai_error(problem, message)

    def too_long(self, tokens: int, window: int) -> str:
        """Return how it says that a prompt is too long."""
        return openai_too_long(tokens, window)

    def pause_headers(self, pause: float) -> dict[str, str]:
        """Return the headers that ask for a pause."""
        return {"retry-after": f"{pause:g}", "retry-after-ms": f"{pause * 1_000:g}"}


def _made(emit: Emit, turn: Turn, kind: str, pieces: list[Piece], place: Mapping[str, Any]) -> Iterator[Sse]:
    """Yield the events of one item between the one that adds it and the one that closes it."""
    text = "".join(piece.text for piece in pieces)
    if kind == "call":
        for piece in pieces[1:]:
            yield emit("response.function_call_arguments.delta", True, **place, delta=piece.text)
        arguments = "".join(piece.text for piece in pieces[1:])
        name = pieces[0].text
        yield emit("response.function_call_arguments.done", **place, name=name, arguments=arguments)
    elif kind == "thinking":
        place = {**place, "summary_index": 0}
        empty = {"type": "summary_text", "text": ""}
        yield emit("response.reasoning_summary_part.added", **place, part=empty)
        for piece in pieces:
            yield emit("response.reasoning_summary_text.delta", True, **place, delta=piece.text)
        yield emit("response.reasoning_summary_text.done", **place, text=text)
        yield emit("response.reasoning_summary_part.done", **place, part=empty | {"text": text})
    else:
        place = {**place, "content_index": 0}
        stream, field = ("refusal", "refusal") if turn.reply.refusal else ("output_text", "text")
        more: dict[str, Any] = {} if turn.reply.refusal else {"logprobs": []}
        yield emit("response.content_part.added", **place, part=_content(turn, ""))
        for piece in pieces:
            yield emit(f"response.{stream}.delta", True, **place, delta=piece.text, **more)
        yield emit(f"response.{stream}.done", **place, **{field: text}, **more)
        yield emit("response.content_part.done", **place, part=_content(turn, text))


def _runs(turn: Turn) -> Iterator[tuple[str, list[Piece]]]:
    """Yield the pieces of each output item: thinking, then text, then each call."""
    for kind in ("thinking", "text"):
        if pieces := [piece for piece in turn.pieces if piece.kind == kind]:
            yield kind, pieces
    for index in range(len(turn.calls)):
        yield "call", [p for p in turn.pieces if p.kind in ("call", "arguments") and p.index == index]


def _item(turn: Turn, at: int, kind: str, pieces: list[Piece], status: str) -> dict[str, Any]:
    """Return an output item; one that is just being added has no pieces yet."""
    text = "".join(piece.text for piece in pieces)
    if kind == "thinking":
        summary = [{"type": "summary_text", "text": text}] if pieces else []
        secret = f"sealed-{turn.number}-{at}"
        return {
            "id": f"rs_{turn.number}_{at}",
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": secret,
        }
    if kind == "text":
        content = [_content(turn, text)] if pieces else []
        head = {"id": f"msg_{turn.number}_{at}", "type": "message", "role": "assistant"}
        return head | {"status": status, "content": content}
    index = at - sum(any(p.kind == other for p in turn.pieces) for other in ("thinking", "text"))
    call = turn.calls[index]
    return {
        "id": f"fc_{turn.number}_{at}",
        "type": "function_call",
        "status": status,
        "call_id": call.id or f"call_{turn.number}_{index}",
        "name": call.name,
        "arguments": call.arguments if pieces else "",
    }


def _content(turn: Turn, text: str) -> dict[str, Any]:
    if turn.reply.refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(turn: Turn, asked: Asked, output: list[dict[str, Any]]) -> dict[str, Any]:
    cut = turn.ending == "length"
    return {
        "id": f"resp_{turn.number}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": None,
        "model": turn.model,
        "output": output,
        "parallel_tool_calls": True,
        "store": False,
        "tool_choice": asked.request.tool_choice,
        "tools": [],
        "usage": _usage(turn.usage),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_input + usage.total_output,
    }


def _take(item: Mapping[str, Any], messages: list[Message]) -> None:
    """Append what an input item says; a call belongs to the assistant's turn before it."""
    kind = item.get("type", "message")
    if kind == "message":
        content, role = item["content"], item["role"]
        images: tuple[Image, ...] = ()
        if isinstance(content, list):
            images = tuple(image_at(part["image_url"]) for part in content if part["type"] == "input_image")
        messages.append(Message(role_of(role), text_of(content), images=images))
    elif kind == "function_call":
        call = ToolCall(item["call_id"], item["name"], item["arguments"])
        before = messages.pop() if messages and messages[-1].role == "assistant" else Message("assistant")
        messages.append(Message("assistant", before.text, (*before.tool_calls, call)))
    elif kind == "function_call_output":
        messages.append(Message("tool", text_of(item["output"]), call_id=item["call_id"]))


def _tool(tool: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(tool["name"], tool.get("description") or "", tool.get("parameters") or {})
