"""The OpenAI responses dialect, without state at the provider.

Nothing is stored there: every call carries the conversation, and reasoning goes back encrypted, as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from agentkit.backends.dialect import (
    WRONG_SHAPE,
    is_strict,
    most_schema_tokens,
    most_text_tokens,
    raise_error,
    unreadable,
)
from agentkit.backends.openai_chat import effort, image_address, most_image_tokens
from agentkit.backends.usage_records import responses_usage
from agentkit.errors import BackendUnavailable
from agentkit.http import read_json
from agentkit.messages import Message, Native, ToolCall
from agentkit.sse import ServerEvent
from agentkit.types import (
    Completion,
    Delta,
    FinishReason,
    ModelCard,
    Request,
    TokenLogprob,
    ToolCallDelta,
    ToolSpec,
)

_NAME = "openai-responses"
_ITEM_OVERHEAD, _REQUEST_OVERHEAD, _TOOLS_OVERHEAD = 16, 128, 512
_TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
_THINKING = {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}


@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """POST responses. The interface has no seed and no stop sequences. `service_tier` as in the chat dialect."""

    service_tier: str | None = None
    name: ClassVar[str] = _NAME

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the Authorization header, if there is a key."""
        return {"authorization": f"Bearer {api_key}"} if api_key else {}

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path, the same for all."""
        return "responses"

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> dict[str, Any]:
        """Return the JSON body of `request`; what the card's capabilities exclude is left out."""
        can = card.capabilities
        body: dict[str, Any] = {
            "model": card.model,
            "input": [item for message in request.messages for item in _items(message, card)],
            "max_output_tokens": request.max_output_tokens,
            "store": False,
        }
        include = ["reasoning.encrypted_content"] if can.reasoning_effort else []  # refused by other models
        if request.logprobs and can.logprobs:
            include.append("message.output_text.logprobs")
        wanted = effort(request, card)
        optional = {
            "include": include or None,
            "temperature": request.temperature if can.temperature else None,
            "top_p": request.top_p if can.temperature else None,
            "reasoning": {"effort": wanted} if wanted else None,
            "stream": stream or None,
            "service_tier": self.service_tier,
        }
        body.update({name: value for name, value in optional.items() if value is not None})
        if request.tools and can.tools:
            body["tools"] = _tools(request.tools)
            body["tool_choice"] = request.tool_choice
        if (schema := request.output_schema) is not None and can.json_schema:
            form = {"type": "json_schema", "name": "answer", "schema": schema, "strict": is_strict(schema)}
            body["text"] = {"format": form}
        return body

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        raise_error(body, card)
        try:
            return _completion(body, card)
        except WRONG_SHAPE as error:
            raise unreadable(body, card, error) from error

    def stream(self, card: ModelCard) -> ResponsesStream:
        """Return the state machine of one streamed reply."""
        return ResponsesStream(card)

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens, found from bytes as in the chat dialect."""
        items = [item for said in request.messages for item in _items(replace(said, images=()), card)]
        count = most_text_tokens(items) + _ITEM_OVERHEAD * len(items) + _REQUEST_OVERHEAD
        if request.tools:
            count += most_schema_tokens(_tools(request.tools)) + _TOOLS_OVERHEAD
        if request.output_schema is not None:
            count += most_schema_tokens(request.output_schema)
        return count + most_image_tokens(request, card)


class ResponsesStream:
    """The state of one streamed reply: feed it events, then ask for the last delta.

    The terminal event repeats the whole reply, so whatever no earlier event said is made up for from it.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._completion: Completion | None = None
        self._text = ""
        self._before = ""
        self._slots: dict[int, int] = {}
        self._arguments: list[str] = []
        self._items: list[Mapping[str, Any]] = []

    @property
    def finished(self) -> bool:
        """Whether the terminal event has arrived, so that the reply is whole."""
        return self._completion is not None

    @property
    def done(self) -> bool:
        """Whether nothing more is to come: the terminal event is the last."""
        return self.finished

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Return the deltas of one event; raises BadResponse, or what an error event means."""
        if event.data == "[DONE]":  # some proxies end every stream as chat completions do
            return []
        data = read_json(self._card, event.data)
        try:
            if event.data == self._before and (data.get("sequence_number") or 0) > 0:
                return []  # the same event again: pieces that are merely alike have numbers of their own
            self._before = event.data
            delta = self._delta(data)
        except WRONG_SHAPE as error:
            raise unreadable(data, self._card, error) from error
        return [delta] if delta != Delta() else []

    def last(self) -> Delta:
        """Return the delta with finish reason, usage and native form; raises BackendUnavailable if cut."""
        if self._completion is None:
            raise BackendUnavailable(self._card.name, "the stream ended before the reply did; try again")
        reply = self._completion
        return Delta(finish_reason=reply.finish_reason, usage=reply.usage, native=reply.message.native)

    def _delta(self, data: Mapping[str, Any]) -> Delta:
        kind = data["type"]
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self._text += data["delta"]
            return Delta(data["delta"], logprobs=_logprobs(data))
        if kind in _THINKING:
            return Delta(thinking=_string(data["delta"]))
        if kind == "response.output_item.added" and data["item"]["type"] == "function_call":
            return Delta(tool_calls=(self._call(data["output_index"], data["item"]),))
        if kind == "response.function_call_arguments.delta":
            slot = self._slots[data["output_index"]]
            self._arguments[slot] += data["delta"]
            return Delta(tool_calls=(ToolCallDelta(slot, arguments=data["delta"]),))
        if kind == "response.output_item.done":
            self._items.append(data["item"])
        elif kind in _TERMINAL:
            return self._end(data["response"])
        elif kind == "error":
            raise_error({"error": data.get("error") or data}, self._card)
        return Delta()

    def _call(self, output_index: int, item: Mapping[str, Any]) -> ToolCallDelta:
        slot = self._slots[output_index] = len(self._arguments)
        self._arguments.append(_string(item.get("arguments") or ""))
        return ToolCallDelta(slot, _string(item["call_id"]), _string(item["name"]), self._arguments[slot])

    def _end(self, response: Mapping[str, Any]) -> Delta:
        raise_error(response, self._card)
        self._completion = _completion({**response, "output": response.get("output") or self._items}, self._card)
        message = self._completion.message
        calls = []
        for slot, call in enumerate(message.tool_calls):
            if slot >= len(self._arguments):
                calls.append(ToolCallDelta(slot, call.id, call.name, call.arguments))
            elif rest := _rest(call.arguments, self._arguments[slot]):
                calls.append(ToolCallDelta(slot, arguments=rest))
        return Delta(_rest(message.text, self._text), tuple(calls))


def _completion(body: Mapping[str, Any], card: ModelCard) -> Completion:
    status = body.get("status") or "completed"
    if status not in ("completed", "incomplete"):
        raise ValueError(f"its status is {status}")
    output: Sequence[Mapping[str, Any]] = body["output"]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    text = "".join(_string(part.get("text") or part.get("refusal") or "") for part in parts)
    calls = tuple(
        ToolCall(_string(item["call_id"]), _string(item["name"]), _string(item.get("arguments") or ""))
        for item in output
        if item["type"] == "function_call"
    )
    refused = any(part["type"] == "refusal" for part in parts)
    # half a reply cannot go back: its reasoning would lack the item it led to, which is refused
    native = Native(_NAME, card.model, tuple(output)) if status == "completed" else None
    message = Message("assistant", text, calls, native=native)
    logprobs = tuple(logprob for part in parts for logprob in _logprobs(part))
    usage = responses_usage(body.get("usage"), body.get("service_tier"))
    return Completion(message, _finish(body, refused, bool(calls)), usage, logprobs)


def _finish(body: Mapping[str, Any], refused: bool, has_calls: bool) -> FinishReason:
    if body.get("status") == "incomplete":
        reason = (body.get("incomplete_details") or {}).get("reason")
        return "content_filter" if reason == "content_filter" else "length"
    if refused:
        return "content_filter"
    return "tool_calls" if has_calls else "stop"


def _items(message: Message, card: ModelCard) -> Sequence[Mapping[str, Any]]:
    """The input items of a turn."""
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.call_id, "output": message.text}]
    if message.role == "assistant":
        return _native(message, card) or _said(message)
    role = "user" if message.role == "system" and not card.capabilities.system else message.role
    if not message.images:
        return [{"role": role, "content": message.text}]
    # servers that check by the types of OpenAI's client insist on the detail
    pictures = [
        {"type": "input_image", "image_url": image_address(image), "detail": "auto"} for image in message.images
    ]
    text = [{"type": "input_text", "text": message.text}] if message.text else []
    return [{"role": role, "content": [*text, *pictures]}]


def _native(message: Message, card: ModelCard) -> Sequence[Mapping[str, Any]] | None:
    """The items of an assistant turn as they came, if this model said them and its calls are still the same."""
    native = message.native
    if native is None or (native.dialect, native.model) != (_NAME, card.model):
        return None
    called = [item["call_id"] for item in native.content if item["type"] == "function_call"]
    return native.content if called == [call.id for call in message.tool_calls] else None


def _said(message: Message) -> list[Mapping[str, Any]]:
    text = [{"role": "assistant", "content": message.text}] if message.text else []
    calls = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}
        for call in message.tool_calls
    ]
    return [*text, *calls]


def _tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": False,  # the default here is to enforce, which changes what optional parameters mean
        }
        for tool in tools
    ]


def _logprobs(part: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(_string(entry["token"]), float(entry["logprob"])) for entry in part.get("logprobs") or ()
    )


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _rest(whole: str, sofar: str) -> str:
    return whole.removeprefix(sofar) if whole.startswith(sofar) else ""
