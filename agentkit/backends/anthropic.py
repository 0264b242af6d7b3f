"""The Anthropic messages dialect: how requests are written. `anthropic_reply.py` reads what comes back."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from agentkit.backends.anthropic_reply import ANSWER, NAME, MessageStream, read_message
from agentkit.backends.anthropic_rules import rules_of, thinking
from agentkit.backends.dialect import json_object, most_schema_tokens, most_text_tokens
from agentkit.backends.schemas import anthropic_schema
from agentkit.messages import Image, Message
from agentkit.types import Completion, ModelCard, Request, ToolSpec

IMAGE_TOKENS = 5_000
"""The most input tokens one image is billed as: 4,784 patches of 28 by 28 pixels, larger ones are scaled down."""

_UNSAMPLED_SINCE = "2026-10-21"
"""The version of the interface from which temperature and top_p are refused for every model."""
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_OPENING = "Continue."
_BLOCK_OVERHEAD, _REQUEST_OVERHEAD, _TOOLS_OVERHEAD = 16, 512, 1_024

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Anthropic:
    """POST messages, under `version` of the interface. There are no seeds and no log-probabilities."""

    version: str = "2023-06-01"
    name: ClassVar[str] = NAME

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the version, and the key if there is one."""
        return {"anthropic-version": self.version, **({"x-api-key": api_key} if api_key else {})}

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path, the same for all."""
        return "messages"

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> dict[str, Any]:
        """Return the JSON body of `request`; what the card or the model's rules exclude is left out."""
        tools = _tools(request, card)
        system, turns = _conversation(request.messages, card)
        if card.capabilities.cache_control:
            _mark(tools, system, turns)
        choice = _choice(request, card, tools)
        forced = choice.get("type") in ("any", "tool")
        think, effort = thinking(request, card, forced=forced, cut_in=_cut_in(turns))
        body = {
            "model": card.model,
            "max_tokens": request.max_output_tokens,
            "tools": tools,
            "tool_choice": choice,
            "system": system,
            "messages": turns,
            "thinking": think,
            "output_config": {**({"effort": effort} if effort else {}), **_format(request, card)},
            "stop_sequences": _stop(request, card),
            **({} if think else self._sampling(request, card)),
            "stream": stream,
        }
        return {name: value for name, value in body.items() if value or name == "temperature"}

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        return read_message(body, card)

    def stream(self, card: ModelCard) -> MessageStream:
        """Return the state machine of one streamed reply."""
        return MessageStream(card)

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens, found from bytes.

        Tools and the output schema are counted at their longest. Constants cover role markers, and what the
        provider tells the model about tools and formats.
        """
        system, turns = _conversation([replace(message, images=()) for message in request.messages], card)
        said = [block for turn in turns for block in turn["content"]]
        count = most_text_tokens([system, turns]) + _BLOCK_OVERHEAD * (len(system) + len(said)) + _REQUEST_OVERHEAD
        if tools := _tools(request, card):
            count += most_schema_tokens(tools) + _TOOLS_OVERHEAD
        if form := _format(request, card):
            count += most_schema_tokens(form) + _TOOLS_OVERHEAD
        each = IMAGE_TOKENS if card.image_tokens is None else card.image_tokens
        return count + each * sum(len(message.images) for message in request.messages)

    def _sampling(self, request: Request, card: ModelCard) -> dict[str, float]:
        """Temperature or top_p: together they are refused."""
        model_takes_it = rules_of(card.model).samples and self.version < _UNSAMPLED_SINCE
        if not (card.capabilities.temperature and model_takes_it):
            return {}
        if request.temperature is not None:
            return {"temperature": min(request.temperature, 1.0)}
        return {"top_p": request.top_p} if request.top_p is not None else {}


def _conversation(messages: Sequence[Message], card: ModelCard) -> tuple[list[Block], list[Block]]:
    """The system prompt and the turns, which alternate and begin with the user's.

    A system message in the middle of a conversation is said by the user: at the top it would change the prefix
    that the provider has cached.
    """
    system: list[Block] = []
    turns: list[Block] = []
    for message in messages:
        blocks = _blocks(message, card)
        if message.role == "system" and card.capabilities.system and not turns:
            system += blocks
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not blocks:
            continue
        if role == "assistant" and not turns:
            turns.append({"role": "user", "content": [_text(_OPENING)]})
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if turns and turns[-1]["role"] == "assistant" and "text" in (last := turns[-1]["content"][-1]):
        last["text"] = last["text"].rstrip()  # the beginning of a turn may not end in white space
    return system, turns or [{"role": "user", "content": [_text(_OPENING)]}]


def _blocks(message: Message, card: ModelCard) -> list[Block]:
    """The blocks of a message; empty text is left out, since it is refused."""
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": _id(message.call_id), "content": message.text}]
    if (native := _native(message, card)) is not None:
        return native
    text = [_text(message.text)] if message.text.strip() else []
    calls = [
        {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": json_object(call.arguments)}
        for call in message.tool_calls
    ]
    return [*map(_image, message.images), *text, *calls]


def _native(message: Message, card: ModelCard) -> list[Block] | None:
    """The turn as it came, if this model said it and its calls are still the same."""
    native = message.native
    if native is None or (native.dialect, native.model) != (NAME, card.model):
        return None
    called = [block["id"] for block in native.content if block["type"] == "tool_use"]
    if called != [call.id for call in message.tool_calls]:
        return None
    return [dict(block) for block in native.content]


def _image(image: Image) -> Block:
    if image.url:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    data = b64encode(image.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _id(call_id: str) -> str:
    """The id of a call in the letters that are taken; other providers use more."""
    return _NOT_IN_IDS.sub("_", call_id)


def _tools(request: Request, card: ModelCard) -> list[Block]:
    """The tools, and the one to answer with where no format can be asked for."""
    if not card.capabilities.tools:
        return []
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in (*request.tools, *_answer_tool(request, card))
    ]


def _answer_tool(request: Request, card: ModelCard) -> Sequence[ToolSpec]:
    """The tool whose call is the answer, if the schema can be its input, which is always an object."""
    schema = request.output_schema
    if schema is None or schema.get("type") != "object" or request.tool_choice == "required":
        return ()
    if _format(request, card) or not rules_of(card.model).forces:
        return ()
    return (ToolSpec(ANSWER, "Give the final answer.", schema),)


def _format(request: Request, card: ModelCard) -> dict[str, Any]:
    if request.output_schema is None or not card.capabilities.json_schema:
        return {}
    schema = anthropic_schema(request.output_schema)
    return {"format": {"type": "json_schema", "schema": schema}} if schema is not None else {}


def _choice(request: Request, card: ModelCard, tools: Sequence[Block]) -> Block:
    if not tools:
        return {}
    if tools[-1]["name"] == ANSWER:
        others = len(tools) > 1 and request.tool_choice != "none"
        return {"type": "any"} if others else {"type": "tool", "name": ANSWER}
    choice = _CHOICES[request.tool_choice]
    return {"type": choice if choice != "any" or rules_of(card.model).forces else "auto"}


def _stop(request: Request, card: ModelCard) -> list[str]:
    """The stop sequences; those of white space only are refused."""
    return [text for text in request.stop if text.strip()] if card.capabilities.stop else []


def _mark(tools: Sequence[Block], system: Sequence[Block], turns: Sequence[Block]) -> None:
    """Set the breakpoints of the prompt cache: after tools, system, and the user's last two turns.

    The later of the two is written, the earlier was written by the call before and is read. A conversation that
    may end with this call is not written, since that costs more than it saves.
    """
    said = [turn["content"] for turn in turns if turn["role"] == "user"]
    goes_on = tools or len(turns) > 1
    for blocks in (tools, system, *(said[-2:] if goes_on else ())):
        if blocks:
            blocks[-1]["cache_control"] = {"type": "ephemeral"}


def _cut_in(turns: Sequence[Block]) -> bool:
    """Whether the assistant's turn is under way and began without thinking: by another model, or given to it."""
    *_, before, last = ({"role": "", "content": [_text("")]}, *turns)
    if last["role"] == "assistant":
        return True
    in_loop = any(block["type"] == "tool_result" for block in last["content"])
    return in_loop and before["content"][0]["type"] not in ("thinking", "redacted_thinking")
