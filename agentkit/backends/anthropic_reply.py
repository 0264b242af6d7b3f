"""How replies of the Anthropic messages interface are read, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentkit.backends.dialect import WRONG_SHAPE, json_object, raise_error, unreadable
from agentkit.backends.usage_records import anthropic_usage
from agentkit.errors import BackendUnavailable
from agentkit.http import read_json
from agentkit.messages import Message, Native, ToolCall
from agentkit.sse import ServerEvent
from agentkit.types import Completion, Delta, FinishReason, ModelCard, ToolCallDelta

NAME = "anthropic"
"""The dialect's name."""

ANSWER = "agentkit_answer"
"""The tool that a model is made to answer with where it takes no output format; its input is the answer's text."""

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",  # with calls, a stop becomes tool_calls
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the provider's own tools want another round; the reply is not whole
    "refusal": "content_filter",
}
_PLAIN = {"text", "tool_use"}
_FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_NOTHING = Delta()


def read_message(body: Any, card: ModelCard) -> Completion:
    """Return the completion of a message; raises BadResponse, or what an error body means."""
    raise_error(body, card)
    try:
        blocks: Sequence[Mapping[str, Any]] = body["content"]
        text = "".join(_said(block) for block in blocks)
        calls = tuple(
            ToolCall(_string(block["id"]), _string(block["name"]), json.dumps(block.get("input") or {}))
            for block in blocks
            if _is_call(block)
        )
        finish = _finish(body.get("stop_reason"), bool(calls))
        message = Message("assistant", text, calls, native=_native(blocks, finish, card))
        return Completion(message, finish, anthropic_usage(body.get("usage")))
    except WRONG_SHAPE as error:
        raise unreadable(body, card, error) from error


class MessageStream:
    """The state of one streamed message: feed it events, then ask for the last delta.

    Events that are not known are skipped, as the interface demands of its clients.
    """

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._stop_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._blocks: list[_Block] = []
        self._open: dict[int, _Block] = {}
        self._calls = 0

    @property
    def finished(self) -> bool:
        """Whether the stop reason has arrived, so that the reply is whole."""
        return self._stop_reason is not None

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Return the deltas of one event; raises BadResponse, or what an error event means."""
        if event.data == "[DONE]":  # some proxies end every stream as chat completions do
            self.done = True
            return []
        data = read_json(self._card, event.data)
        raise_error(data, self._card)
        try:
            delta = self._delta(data)
        except WRONG_SHAPE as error:
            raise unreadable(data, self._card, error) from error
        return [] if delta is _NOTHING else [delta]

    def last(self) -> Delta:
        """Return the delta with finish reason, usage and native form; raises BackendUnavailable if cut.

        It also carries the input of the calls for which no piece came: those that have none.
        """
        if self._stop_reason is None:
            raise BackendUnavailable(self._card.name, "the stream ended before the reply did; try again")
        finish = _finish(self._stop_reason, self._calls > 0)
        silent = [block for block in self._blocks if block.kind == "tool_use" and not block.pieces]
        calls = (
            ToolCallDelta(block.slot, arguments=block.input_text) for block in silent if block.slot is not None
        )
        text = "".join(block.input_text for block in silent if block.slot is None)
        return Delta(
            text,
            tuple(calls),
            finish_reason=finish,
            usage=anthropic_usage(self._usage),
            native=_native([block.whole() for block in self._blocks], finish, self._card),
        )

    def _delta(self, data: Mapping[str, Any]) -> Delta:
        kind = data["type"]
        if kind == "content_block_delta":
            return self._grow(self._open[data["index"]], data["delta"])
        if kind == "content_block_start":
            return self._start(data["index"], data["content_block"])
        if kind == "content_block_stop":
            self._open.pop(data["index"], None)
        elif kind == "message_start":
            self._count(data["message"].get("usage"))
        elif kind == "message_delta":
            if reason := data["delta"].get("stop_reason"):
                self._stop_reason = _string(reason)
            self._count(data.get("usage"))
        elif kind == "message_stop":
            self.done = True
        return _NOTHING

    def _count(self, record: Mapping[str, Any] | None) -> None:
        """Take the usage so far: it is cumulative, and a field that is null or zero takes nothing back."""
        for name, value in (record or {}).items():
            if value or (value == 0 and name not in self._usage):  # all of a prompt may be from the cache
                self._usage[name] = value

    def _start(self, index: int, head: Mapping[str, Any]) -> Delta:
        if index in self._open and self._open[index].head == head:  # the same event again
            return _NOTHING
        block = self._open[index] = _Block(head)
        self._blocks.append(block)
        if _is_call(head):
            block.slot, self._calls = self._calls, self._calls + 1
            return Delta(tool_calls=(ToolCallDelta(block.slot, _string(head["id"]), _string(head["name"])),))
        return self._show(block, _string(head.get(block.kind) or "")) if block.is_text else _NOTHING

    def _grow(self, block: _Block, delta: Mapping[str, Any]) -> Delta:
        kind = delta["type"]
        if field := _FIELDS.get(kind):
            return self._show(block, _string(delta[field]))
        if kind == "signature_delta":
            block.more["signature"] = delta["signature"]
        elif kind == "citations_delta":
            block.more.setdefault("citations", []).append(delta["citation"])
        return _NOTHING

    def _show(self, block: _Block, piece: str) -> Delta:
        if not piece:
            return _NOTHING
        block.pieces.append(piece)
        if block.slot is not None:
            return Delta(tool_calls=(ToolCallDelta(block.slot, arguments=piece),))
        if block.kind == "thinking":
            return Delta(thinking=piece)
        is_said = block.kind in _PLAIN  # what the provider's own tools are given is not
        return Delta(piece) if is_said else _NOTHING


class _Block:
    """A content block on its way: what it began with, and what came since."""

    __slots__ = ("head", "kind", "more", "pieces", "slot")

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.head, self.kind = head, _string(head["type"])
        self.pieces: list[str] = []
        self.more: dict[str, Any] = {}
        self.slot: int | None = None  # of a call, among the calls

    @property
    def is_text(self) -> bool:
        """Whether it is text that grows under the name of its kind."""
        return self.kind in ("text", "thinking")

    @property
    def input_text(self) -> str:
        """The input the block began with, for calls whose input came in no pieces."""
        return json.dumps(self.head.get("input") or {})

    def whole(self) -> dict[str, Any]:
        """Return the block as an answer that is not streamed has it; input that is no object is wrapped in one."""
        text = "".join(self.pieces)
        if self.kind.endswith("tool_use"):
            return {**self.head, "input": json_object(text or self.input_text)}
        grown = {self.kind: text} if self.is_text else {}
        return {**self.head, **grown, **self.more}


def _native(blocks: Sequence[Mapping[str, Any]], finish: FinishReason, card: ModelCard) -> Native | None:
    """The turn as it came, where text and calls do not say it all.

    Half a turn cannot go back, since its thinking may lack the signature; nor can a call that gets no result.
    """
    if finish not in ("stop", "tool_calls") or all(block["type"] in _PLAIN for block in blocks):
        return None
    if any(block.get("name") == ANSWER for block in blocks):
        return None
    return Native(NAME, card.model, tuple(block for block in blocks if not _is_blank(block)))


def _is_blank(block: Mapping[str, Any]) -> bool:
    """Whether it is a text block without text, which comes at times and is refused when it goes back."""
    return block["type"] == "text" and not block["text"].strip()


def _is_call(block: Mapping[str, Any]) -> bool:
    return bool(block["type"] == "tool_use" and block["name"] != ANSWER)


def _said(block: Mapping[str, Any]) -> str:
    """The text that a block adds to the answer."""
    if block["type"] == "tool_use" and block["name"] == ANSWER:
        return json.dumps(block.get("input") or {}, ensure_ascii=False)
    return _string(block["text"]) if block["type"] == "text" else ""


def _finish(reason: str | None, has_calls: bool) -> FinishReason:
    finish = _FINISH.get(reason or "end_turn", "stop")
    return "tool_calls" if finish == "stop" and has_calls else finish


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
