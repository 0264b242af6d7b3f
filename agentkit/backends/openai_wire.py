"""The OpenAI chat-completions dialect: pure functions and one state machine, no input or output.

Usage is read so that it is never below the bill: see `_usage`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentkit.errors import BackendUnavailable, BadResponse
from agentkit.http import ServerEvent, provider_error, read_json
from agentkit.messages import Message, ToolCall, assistant
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
from agentkit.usage import Usage

TokenCapField = Literal["max_completion_tokens", "max_tokens"]

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_MESSAGE_OVERHEAD, _REQUEST_OVERHEAD, _TOOLS_OVERHEAD = 16, 128, 512
_MAX_TOKENS = 10**12
_WRONG_SHAPE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def build_request(
    request: Request, card: ModelCard, *, token_cap_field: TokenCapField = "max_tokens", stream: bool = False
) -> dict[str, Any]:
    """Return the JSON body of `request`; what the card's capabilities exclude is left out."""
    can = card.capabilities
    body: dict[str, Any] = {
        "model": card.model,
        "messages": [_message(message, card) for message in request.messages],
        token_cap_field: request.max_output_tokens,
    }
    optional = {
        "temperature": request.temperature if can.temperature else None,
        "top_p": request.top_p if can.temperature else None,
        "seed": request.seed if can.seed else None,
        "stop": list(request.stop) or None if can.stop else None,
        "logprobs": request.logprobs or None if can.logprobs else None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    if request.tools and can.tools:
        body["tools"] = _tools(request.tools)
        body["tool_choice"] = request.tool_choice
    if request.output_schema is not None and can.json_schema:
        schema = {"name": "answer", "schema": request.output_schema, "strict": _is_strict(request.output_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def parse_response(body: Any, card: ModelCard) -> Completion:
    """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
    _raise_error(body, card)
    try:
        choice = body["choices"][0]
        message = choice["message"]
        calls = tuple(
            ToolCall(call.get("id") or f"{body.get('id', 'call')}-{i}", *_function(call["function"]))
            for i, call in enumerate(message.get("tool_calls") or ())
        )
        text, refused = _text(message)
        finish = _finish(choice.get("finish_reason"), refused, bool(calls))
        return Completion(assistant(text, calls), finish, _usage(body.get("usage")), _logprobs(choice))
    except _WRONG_SHAPE as error:
        raise _unreadable(body, card, error) from error


def input_bound(request: Request, card: ModelCard) -> int:
    """Return an upper bound of the input tokens, found from bytes, without a tokenizer.

    A byte-level BPE starts from single bytes and only merges, so text has at most as many tokens as UTF-8
    bytes; escaping only adds bytes. Tools and the output schema are counted as servers write them into the
    prompt at their longest, indented and in ASCII. Constants cover role markers and preambles.
    """
    messages = [_message(message, card) for message in request.messages]
    text = json.dumps(messages, ensure_ascii=False).encode("utf-8", "surrogatepass")
    count = len(text) + _MESSAGE_OVERHEAD * len(messages) + _REQUEST_OVERHEAD
    if request.tools:
        count += len(json.dumps(_tools(request.tools), default=dict, indent=4)) + _TOOLS_OVERHEAD
    if request.output_schema is not None:
        count += len(json.dumps(request.output_schema, default=dict, indent=4))
    return count


class ChatStream:
    """The state of one streamed reply: feed it events, then ask for the last delta.

    Finish reason and usage are kept for `last`, as they come in any order: some servers send usage in a chunk
    of its own, some beside the last choice, some in every chunk; the last one wins.
    """

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._finish_reason: str | None = None
        self._refused = False
        self._usage: Usage | None = None
        self._call_ids: list[str] = []
        self._slots: dict[int | None, int] = {}

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
        _raise_error(chunk, self._card)
        try:
            self._usage = _usage(chunk.get("usage")) or self._usage
            return [
                delta for choice in chunk.get("choices") or () if (delta := self._delta(choice, chunk)) != Delta()
            ]
        except _WRONG_SHAPE as error:
            raise _unreadable(chunk, self._card, error) from error

    def last(self) -> Delta:
        """Return the delta with finish reason and usage; raises BackendUnavailable if the reply was cut."""
        if self._finish_reason is None:
            raise BackendUnavailable(self._card.name, "the stream ended before the reply did; try again")
        finish = _finish(self._finish_reason, self._refused, bool(self._call_ids))
        return Delta(finish_reason=finish, usage=self._usage)

    def _delta(self, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> Delta:
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)
        piece = choice.get("delta") or {}
        text, refused = _text(piece)
        self._refused = self._refused or refused
        calls = tuple(self._call(call, chunk) for call in piece.get("tool_calls") or ())
        return Delta(text, calls, _logprobs(choice))

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


def _message(message: Message, card: ModelCard) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    if message.tool_calls:
        return {
            "role": "assistant",
            "content": message.text or None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _object(call.arguments)},
                }
                for call in message.tool_calls
            ],
        }
    role = "user" if message.role == "system" and not card.capabilities.system else message.role
    return {"role": role, "content": message.text}


def _object(arguments: str) -> str:
    """Arguments as a JSON object: servers that read them for their chat template fail on anything else."""
    try:
        is_object = isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    return arguments or "{}" if is_object else json.dumps({"malformed": arguments}, ensure_ascii=False)


def _tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _is_strict(schema: object) -> bool:
    """Whether the server may enforce the schema: strict mode refuses open objects and optional properties."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and schema.get("type") == "object":
            closed = schema.get("additionalProperties") is False
            if not closed or set(schema.get("required", ())) != set(properties):
                return False
        return all(_is_strict(part) for part in schema.values())
    return all(_is_strict(part) for part in schema) if isinstance(schema, list) else True


def _raise_error(body: Any, card: ModelCard) -> None:
    """Raise what an error sent under status 200 means; the work had begun by then, so it may be billed."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if error:
        code = error.get("code") if isinstance(error, Mapping) else None
        failure = provider_error(card, code if type(code) is int and 400 <= code < 600 else 500, body)
        failure.may_be_billed = True
        raise failure


def _unreadable(body: Any, card: ModelCard, error: Exception) -> BadResponse:
    return BadResponse(
        card.name, f"the answer has not the shape of a chat completion ({error!r}): {str(body)[:200]}"
    )


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


def _usage(record: Mapping[str, Any] | None) -> Usage | None:
    """The usage record, or None if it cannot be believed, so that the full hold is charged.

    Prompt tokens include cached ones. Completion tokens should include reasoning; servers that leave it out
    give themselves away by the total. A prompt of zero tokens is a placeholder.
    """
    prompt, completion, total = (_count(record, f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if not prompt or completion is None or record is None:
        return None
    read = _count(record.get("prompt_tokens_details"), "cached_tokens") or 0
    write = _count(record.get("prompt_tokens_details"), "cache_write_tokens") or 0
    reasoning = _count(record.get("completion_tokens_details"), "reasoning_tokens") or 0
    read = min(read, prompt)
    write = min(write, prompt - read)
    output = max(completion, (total or 0) - prompt)
    reasoning = min(reasoning, output)
    return Usage(prompt - read - write, read, write, output - reasoning, reasoning)


def _count(record: Mapping[str, Any] | None, name: str) -> int | None:
    value = record.get(name) if record else None
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None
