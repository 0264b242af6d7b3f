"""The OpenAI chat-completions dialect, as OpenAI and every compatible server speak it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from agentkit.backends.dialect import (
    WRONG_SHAPE,
    is_strict,
    json_object,
    most_schema_tokens,
    most_text_tokens,
    raise_error,
    unreadable,
)
from agentkit.backends.thoughts import Thoughts
from agentkit.backends.usage_records import chat_usage
from agentkit.errors import BackendUnavailable
from agentkit.http import read_json
from agentkit.messages import Image, Message, ToolCall
from agentkit.sse import ServerEvent
from agentkit.types import (
    Completion,
    Delta,
    Effort,
    FinishReason,
    ModelCard,
    Request,
    TokenLogprob,
    ToolCallDelta,
    ToolSpec,
)
from agentkit.usage import Usage

TokenCapField = Literal["max_completion_tokens", "max_tokens"]

IMAGE_TOKENS = 50_000
"""The most that OpenAI bills for one image: gpt-4o-mini takes 2,833 tokens and 5,667 for each of eight tiles."""

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_NOTHING = Delta()
_MESSAGE_OVERHEAD, _REQUEST_OVERHEAD, _TOOLS_OVERHEAD = 16, 128, 512
_LEAST_EFFORT: Sequence[tuple[str, Mapping[Effort, Effort]]] = (
    (r"(.*/)?o\d", {"none": "low", "minimal": "low"}),
    (r"(.*/)?gpt-5(-|$)", {"none": "minimal"}),
    (r"(.*/)?gpt-(5\.|[6-9])", {"minimal": "low"}),
)


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """POST chat/completions.

    `token_cap_field` names the field of the output cap. Every compatible server knows `max_tokens`, and one that
    skipped an unknown cap would break the bound; OpenAI's and Azure's reasoning models refuse it and want
    `max_completion_tokens`. `service_tier` is asked for if given; else the settings of a project decide at OpenAI.
    """

    token_cap_field: TokenCapField = "max_tokens"
    service_tier: str | None = None
    name: ClassVar[str] = "openai"

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the Authorization header, if there is a key."""
        return {"authorization": f"Bearer {api_key}"} if api_key else {}

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path, the same for all."""
        return "chat/completions"

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> dict[str, Any]:
        """Return the JSON body of `request`; what the card's capabilities exclude is left out."""
        can = card.capabilities
        body: dict[str, Any] = {
            "model": card.model,
            "messages": [_message(message, card, self.name) for message in request.messages],
            self.token_cap_field: request.max_output_tokens,
        }
        optional = {
            "temperature": request.temperature if can.temperature else None,
            "top_p": request.top_p if can.temperature else None,
            "seed": request.seed if can.seed else None,
            "stop": list(request.stop) or None if can.stop else None,
            "logprobs": request.logprobs or None if can.logprobs else None,
            "reasoning_effort": effort(request, card),
            "service_tier": self.service_tier,
        }
        body.update({name: value for name, value in optional.items() if value is not None})
        if request.tools and can.tools:
            body["tools"] = _tools(request.tools)
            body["tool_choice"] = request.tool_choice
        if (schema := request.output_schema) is not None and can.json_schema:
            wanted = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return body

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        raise_error(body, card)
        try:
            choice = body["choices"][0]
            message = choice["message"]
            calls = tuple(
                ToolCall(call.get("id") or f"{body.get('id', 'call')}-{i}", *_function(call["function"]))
                for i, call in enumerate(message.get("tool_calls") or ())
            )
            text, refused = _text(message)
            thoughts = Thoughts()
            thoughts.add(message)
            said = Message("assistant", text, calls, native=thoughts.native(self.name, card))
            finish = _finish(choice.get("finish_reason"), refused, bool(calls))
            return Completion(
                said, finish, chat_usage(body.get("usage"), body.get("service_tier")), _logprobs(choice)
            )
        except WRONG_SHAPE as error:
            raise unreadable(body, card, error) from error

    def stream(self, card: ModelCard) -> ChatStream:
        """Return the state machine of one streamed reply."""
        return ChatStream(card, self.name)

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens, found from bytes.

        Tools and the output schema are counted as servers write them into the prompt at their longest. Constants
        cover role markers and preambles.
        """
        messages = [_message(replace(message, images=()), card, self.name) for message in request.messages]
        count = most_text_tokens(messages) + _MESSAGE_OVERHEAD * len(messages) + _REQUEST_OVERHEAD
        if request.tools:
            count += most_schema_tokens(_tools(request.tools)) + _TOOLS_OVERHEAD
        if request.output_schema is not None:
            count += most_schema_tokens(request.output_schema)
        return count + most_image_tokens(request, card)


class ChatStream:
    """The state of one streamed reply: feed it events, then ask for the last delta.

    Finish reason and usage are kept for `last`, as they come in any order: some servers send usage in a chunk
    of its own, some beside the last choice, some in every chunk; the last one wins.
    """

    def __init__(self, card: ModelCard, dialect: str) -> None:
        self.done = False
        self._card, self._dialect = card, dialect
        self._finish_reason: str | None = None
        self._refused = False
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._call_ids: list[str] = []
        self._slots: dict[int | None, int] = {}
        self._thoughts = Thoughts()

    @property
    def finished(self) -> bool:
        """Whether the finish reason has arrived, so that the reply is whole."""
        return self._finish_reason is not None

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Return the deltas of one event; raises BadResponse, or what an error event means."""
        if event.data == "[DONE]":
            self.done = True
            return []
        chunk = read_json(self._card, event.data)
        raise_error(chunk, self._card)
        try:
            self._tier = chunk.get("service_tier") or self._tier
            if usage := chunk.get("usage"):
                self._usage = chat_usage(usage, self._tier) or self._usage
            return [
                delta
                for choice in chunk.get("choices") or ()
                if (delta := self._delta(choice, chunk)) is not _NOTHING
            ]
        except WRONG_SHAPE as error:
            raise unreadable(chunk, self._card, error) from error

    def last(self) -> Delta:
        """Return the delta with finish reason and usage; raises BackendUnavailable if the reply was cut."""
        if self._finish_reason is None:
            raise BackendUnavailable(self._card.name, "the stream ended before the reply did; try again")
        finish = _finish(self._finish_reason, self._refused, bool(self._call_ids))
        native = self._thoughts.native(self._dialect, self._card)
        return Delta(finish_reason=finish, usage=self._usage, native=native)

    def _delta(self, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> Delta:
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)
        piece = choice.get("delta") or {}
        said = piece.get("content")
        if len(piece) == 1 and type(said) is str and not choice.get("logprobs"):  # nearly every piece
            return Delta(said) if said else _NOTHING
        text, refused = _text(piece)
        self._refused = self._refused or refused
        thinking, pieces, logprobs = self._thoughts.add(piece), piece.get("tool_calls"), choice.get("logprobs")
        if not (text or thinking or pieces or logprobs):
            return _NOTHING
        calls = tuple([self._call(call, chunk) for call in pieces]) if pieces else ()
        return Delta(text, calls, _logprobs(choice) if logprobs else (), thinking=thinking)

    def _call(self, call: Mapping[str, Any], chunk: Mapping[str, Any]) -> ToolCallDelta:
        """One piece of a call; a new index or a new id starts a new call, whichever the server varies."""
        index, call_id = call.get("index"), str(call.get("id") or "")
        slot = self._slots.get(index)
        if slot is None or (call_id and call_id != self._call_ids[slot]):
            slot = self._slots[index] = len(self._call_ids)
            self._call_ids.append(call_id or f"{chunk.get('id', 'call')}-{slot}")
            call_id = self._call_ids[slot]
        name, arguments = _function(call.get("function") or {})
        return ToolCallDelta(slot, call_id, name, arguments)


def effort(request: Request, card: ModelCard) -> Effort | None:
    """Return the effort to ask for, None for the server's own: the nearest one that OpenAI's model takes."""
    if request.reasoning_effort is None or not card.capabilities.reasoning_effort:
        return None
    for family, instead in _LEAST_EFFORT:
        if re.match(family, card.model):
            return instead.get(request.reasoning_effort, request.reasoning_effort)
    return request.reasoning_effort


def image_address(image: Image) -> str:
    """Return the address of an image, its bytes written into it if it has no other."""
    return image.url or f"data:{image.media_type};base64,{b64encode(image.data).decode()}"


def most_image_tokens(request: Request, card: ModelCard) -> int:
    """Return an upper bound of the tokens of the images of `request`."""
    each = IMAGE_TOKENS if card.image_tokens is None else card.image_tokens
    return each * sum(len(message.images) for message in request.messages)


def _message(message: Message, card: ModelCard, dialect: str) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    if message.tool_calls:
        return {"role": "assistant", "content": message.text or None, **_called(message, card, dialect)}
    role = "user" if message.role == "system" and not card.capabilities.system else message.role
    if not message.images:
        return {"role": role, "content": message.text}
    pictures = [{"type": "image_url", "image_url": {"url": image_address(image)}} for image in message.images]
    text = [{"type": "text", "text": message.text}] if message.text else []
    return {"role": role, "content": [*text, *pictures]}


def _called(message: Message, card: ModelCard, dialect: str) -> dict[str, Any]:
    """The calls of a turn, and the reasoning that led to them, which models that think want back."""
    native = message.native
    ours = native if native and (native.dialect, native.model) == (dialect, card.model) else None
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
        for call in message.tool_calls
    ]
    return {**(ours.content[0] if ours else {}), "tool_calls": calls}


def _arguments(call: ToolCall) -> str:
    """Arguments as a JSON object: servers that read them for their chat template fail on anything else."""
    value = json_object(call.arguments)
    return (call.arguments or "{}") if "malformed" not in value else json.dumps(value, ensure_ascii=False)


def _tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _text(message: Mapping[str, Any]) -> tuple[str, bool]:
    """The text of a message or a piece of one, and whether it is a refusal."""
    content, refusal = message.get("content") or "", message.get("refusal") or ""
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str) or not isinstance(refusal, str):
        raise TypeError("content is not text")
    return content + refusal, bool(refusal)


def _function(function: Mapping[str, Any]) -> tuple[str, str]:
    """Name and arguments of a call; some servers send the arguments as an object."""
    name, arguments = function.get("name") or "", function.get("arguments") or ""
    if not isinstance(name, str):
        raise TypeError("the name of a function is not text")
    return name, arguments if isinstance(arguments, str) else json.dumps(arguments)


def _finish(reason: str | None, refused: bool, has_calls: bool) -> FinishReason:
    if refused:
        return "content_filter"
    finish = _FINISH.get(reason or "stop", "stop")
    return "tool_calls" if finish == "stop" and has_calls else finish  # a forced call may end with "stop"


def _logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    entries = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(TokenLogprob(entry["token"], float(entry["logprob"])) for entry in entries)
