"""How replies of Gemini's generateContent are read: a stream's chunk has the shape of a whole answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentkit.backends.base import Assembler
from agentkit.backends.dialect import WRONG_SHAPE, raise_error, unreadable
from agentkit.backends.usage_records import gemini_usage
from agentkit.errors import BackendUnavailable
from agentkit.http import read_json
from agentkit.messages import Native
from agentkit.sse import ServerEvent
from agentkit.types import Completion, Delta, FinishReason, ModelCard, TokenLogprob, ToolCallDelta

NAME = "gemini"
"""The dialect's name."""

_FINISH: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    # the model broke off: what there is of the reply is not whole
    "CONTINUATION": "length",
    "MALFORMED_FUNCTION_CALL": "length",
    "MALFORMED_RESPONSE": "length",
    "MISSING_THOUGHT_SIGNATURE": "length",
    "OTHER": "length",
    "TOO_MANY_TOOL_CALLS": "length",
    "UNEXPECTED_TOOL_CALL": "length",
    # the provider broke it off
    "BLOCKLIST": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "LANGUAGE": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "RECITATION": "content_filter",
    "SAFETY": "content_filter",
    "SPII": "content_filter",
}
_PLAIN = ({"text"}, {"functionCall"})
_BLOCKED = "SAFETY"


def read_response(body: Any, card: ModelCard) -> Completion:
    """Return the completion of a whole answer; raises BadResponse, or what an error body means."""
    stream, reply = GeminiStream(card), Assembler()
    for delta in stream.read(body):
        reply.add(delta)
    if not stream.finished:
        raise unreadable(body, card, KeyError("finishReason"))
    reply.add(stream.last())
    return reply.partial()


class GeminiStream:
    """The state of one streamed reply: feed it events, then ask for the last delta.

    Nothing marks the end of a stream, and usage may come after the finish reason, so it is never `done`.
    """

    done = False

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._parts: list[dict[str, Any]] = []
        self._ids: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether the finish reason has arrived, so that the reply is whole."""
        return self._finish_reason is not None

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Return the deltas of one event; raises BadResponse, or what an error event means."""
        return self.read(read_json(self._card, event.data))

    def read(self, chunk: Any) -> list[Delta]:
        """Return the deltas of one chunk, or of a whole answer."""
        raise_error(chunk, self._card)
        try:
            # the counts so far, again in every chunk; one that is left out or zero says nothing new
            self._usage |= {name: value for name, value in (chunk.get("usageMetadata") or {}).items() if value}
            if (chunk.get("promptFeedback") or {}).get("blockReason"):
                self._finish_reason = _BLOCKED
            candidates = chunk.get("candidates")
            delta = self._delta(candidates[0], chunk) if candidates else None
        except WRONG_SHAPE as error:
            raise unreadable(chunk, self._card, error) from error
        return [delta] if delta else []

    def last(self) -> Delta:
        """Return the delta with finish reason, usage and native form; raises BackendUnavailable if cut."""
        if self._finish_reason is None:
            raise BackendUnavailable(self._card.name, "the stream ended before the reply did; try again")
        finish = _FINISH.get(self._finish_reason, "stop")
        if finish == "stop" and self._ids:
            finish = "tool_calls"
        return Delta(finish_reason=finish, usage=gemini_usage(self._usage), native=self._native(finish))

    def _delta(self, candidate: Mapping[str, Any], chunk: Mapping[str, Any]) -> Delta | None:
        if reason := candidate.get("finishReason"):
            self._finish_reason = _string(reason)
        text, thinking, calls = "", "", []
        for sent in (candidate.get("content") or {}).get("parts") or ():
            part = {name: sent[name] for name in sent if sent[name] is not None}
            if "functionCall" in part:
                if (delta := self._call(part["functionCall"], chunk)) is None:
                    continue
                calls.append(delta)
            elif part.get("thought"):
                thinking += _string(part.get("text") or "")
            else:
                text += _string(part.get("text") or "")
            self._keep(part)
        logprobs = _logprobs(candidate)
        if not (text or calls or thinking or logprobs):
            return None
        return Delta(text, tuple(calls), logprobs, thinking=thinking)

    def _call(self, call: Mapping[str, Any], chunk: Mapping[str, Any]) -> ToolCallDelta | None:
        """A call, which comes whole; None if it came before."""
        slot = len(self._ids)
        call_id = _string(call.get("id") or f"{chunk.get('responseId') or 'call'}-{slot}")
        if call_id in self._ids:
            return None
        self._ids.append(call_id)
        return ToolCallDelta(slot, call_id, _string(call["name"]), json.dumps(call.get("args") or {}))

    def _keep(self, part: dict[str, Any]) -> None:
        """Keep a part as it came; text that goes on is joined, but a signature belongs to its very part."""
        unsigned = part.keys() <= {"text", "thought"}
        if unsigned and not part.get("text"):  # many a stream ends with one, which is refused when it goes back
            return
        if unsigned and self._parts and self._parts[-1].keys() == part.keys():
            self._parts[-1]["text"] += part["text"]
        else:
            self._parts.append(part)

    def _native(self, finish: FinishReason) -> Native | None:
        """The turn as it came, where text and calls do not say it all; half a turn does not go back."""
        plain = all(set(part) in _PLAIN and "id" not in part.get("functionCall", ()) for part in self._parts)
        if plain or finish not in ("stop", "tool_calls"):
            return None
        return Native(NAME, self._card.model, tuple(self._parts))


def _logprobs(candidate: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    chosen = (candidate.get("logprobsResult") or {}).get("chosenCandidates") or ()
    return tuple(TokenLogprob(_string(token["token"]), float(token["logProbability"])) for token in chosen)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
