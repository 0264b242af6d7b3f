"""Gemini's generateContent dialect: how requests are written. `gemini_reply.py` reads what comes back."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from agentkit.backends.dialect import json_object, most_schema_tokens, most_text_tokens
from agentkit.backends.gemini_reply import NAME, GeminiStream, read_response
from agentkit.backends.gemini_thinking import thinking_config, version_of
from agentkit.backends.schemas import gemini_schema
from agentkit.messages import Image, Message
from agentkit.types import Completion, ModelCard, Request

IMAGE_TOKENS = 4_096
"""The most input tokens one image is billed as, twice the 2,048 of the model that cuts it into most pieces."""

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_CONTENTS = ("properties", "additionalProperties", "anyOf", "oneOf", "allOf", "$ref")
_MOST_STOPS = 5
_SEEDS = 2**31
_UNSIGNED = "skip_thought_signature_validator"
"""What the provider takes as the signature of a call that another model made."""
_OPENING = "Continue."
_CONTENT_OVERHEAD, _REQUEST_OVERHEAD, _TOOLS_OVERHEAD = 16, 128, 512

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gemini:
    """POST models/MODEL:generateContent."""

    name: ClassVar[str] = NAME

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the key, if there is one."""
        return {"x-goog-api-key": api_key} if api_key else {}

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path, which names the model; a name with a slash says itself what kind of model it is."""
        model = card.model if "/" in card.model else f"models/{card.model}"
        return f"{model}:streamGenerateContent?alt=sse" if stream else f"{model}:generateContent"

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> dict[str, Any]:
        """Return the JSON body of `request`; what the card or the model's version excludes is left out."""
        system, contents = _conversation(request.messages, card)
        declared = _declarations(request, card)
        body: dict[str, Any] = {
            "contents": contents,
            "systemInstruction": {"parts": system} if system else None,
            "tools": [{"functionDeclarations": declared}] if declared else None,
            "toolConfig": {"functionCallingConfig": {"mode": _MODES[request.tool_choice]}} if declared else None,
            "generationConfig": _config(request, card),
        }
        return {name: value for name, value in body.items() if value is not None}

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        return read_response(body, card)

    def stream(self, card: ModelCard) -> GeminiStream:
        """Return the state machine of one streamed reply."""
        return GeminiStream(card)

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens, found from bytes.

        Tools and the output schema are counted at their longest. Constants cover role markers and preambles.
        """
        system, contents = _conversation([replace(message, images=()) for message in request.messages], card)
        count = most_text_tokens([system, contents]) + _CONTENT_OVERHEAD * (1 + len(contents)) + _REQUEST_OVERHEAD
        if declared := _declarations(request, card):
            count += most_schema_tokens(declared) + _TOOLS_OVERHEAD
        if request.output_schema is not None:
            count += most_schema_tokens(gemini_schema(request.output_schema))
        each = IMAGE_TOKENS if card.image_tokens is None else card.image_tokens
        return count + each * sum(len(message.images) for message in request.messages)


def _config(request: Request, card: ModelCard) -> dict[str, Any]:
    can, think = card.capabilities, thinking_config(request, card)
    optional = {
        "temperature": request.temperature if can.temperature else None,
        "topP": request.top_p if can.temperature else None,
        "seed": request.seed % _SEEDS if can.seed and request.seed is not None else None,
        "stopSequences": list(request.stop[:_MOST_STOPS]) or None if can.stop else None,
        "responseLogprobs": request.logprobs or None if can.logprobs else None,
        "thinkingConfig": think or None,
        **_format(request, card),
    }
    config: dict[str, Any] = {"maxOutputTokens": request.max_output_tokens}
    return config | {name: value for name, value in optional.items() if value is not None}


def _format(request: Request, card: ModelCard) -> dict[str, Any]:
    """The form of the answer; before version 3 it is refused beside tools."""
    beside_tools = bool(request.tools) and card.capabilities.tools
    if request.output_schema is None or not card.capabilities.json_schema:
        return {}
    if beside_tools and version_of(card.model) < (3, 0):
        return {}
    return {"responseMimeType": "application/json", "responseJsonSchema": gemini_schema(request.output_schema)}


def _declarations(request: Request, card: ModelCard) -> list[dict[str, Any]]:
    """The tools; an object without properties is refused, so what takes no arguments has no parameters."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            **({"parametersJsonSchema": gemini_schema(tool.parameters)} if _says_more(tool.parameters) else {}),
        }
        for tool in (request.tools if card.capabilities.tools else ())
    ]


def _says_more(parameters: Mapping[str, Any]) -> bool:
    return any(parameters.get(name) for name in _CONTENTS)


def _conversation(messages: Sequence[Message], card: ModelCard) -> tuple[list[Content], list[Content]]:
    """The parts of the system instruction and the contents, which begin with the user's.

    A system message in the middle of a conversation is said by the user: at the top it would change the prefix
    that the provider has cached. All results of one turn's calls stand in one content, and nothing else does.
    """
    system: list[Content] = []
    contents: list[Content] = []
    names: dict[str, str] = {}
    ids: set[str] = set()
    for message in messages:
        if message.role == "system" and card.capabilities.system and not contents:
            system += _text(message.text)
            continue
        names |= {call.id: call.name for call in message.tool_calls}
        if message.role == "tool":
            parts = [_result(message, names, ids)]
        else:
            native = _native(message, card)
            ids |= {part["functionCall"].get("id") for part in native or () if "functionCall" in part}
            parts = native if native is not None else _parts(message, card)
        _append(contents, "model" if message.role == "assistant" else "user", parts)
    return system, contents or [_opening()]


def _append(contents: list[Content], role: str, parts: list[Content]) -> None:
    if not parts:
        return
    if not contents and role == "model":
        contents.append(_opening())
    last = contents[-1] if contents else None
    if last and last["role"] == role and _is_result(last["parts"][0]) == _is_result(parts[0]):
        last["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})


def _parts(message: Message, card: ModelCard) -> list[Content]:
    """The parts of a message; the first call of a turn that another model said has a mark for a signature."""
    calls: list[Content] = [
        {"functionCall": {"name": call.name, "args": json_object(call.arguments)}} for call in message.tool_calls
    ]
    if calls and version_of(card.model) >= (3, 0):
        calls[0]["thoughtSignature"] = _UNSIGNED
    return [*map(_image, message.images), *_text(message.text), *calls]


def _native(message: Message, card: ModelCard) -> list[Content] | None:
    """The turn as it came, if this model said it and its calls are still the same."""
    native = message.native
    if native is None or (native.dialect, native.model) != (NAME, card.model):
        return None
    called = [part["functionCall"]["name"] for part in native.content if "functionCall" in part]
    if called != [call.name for call in message.tool_calls]:
        return None
    return [dict(part) for part in native.content]


def _result(message: Message, names: Mapping[str, str], ids: set[str]) -> Content:
    """What a tool gave back, told by its name; its id goes along where the model gave the call one."""
    name = message.name or names.get(message.call_id, "")
    known = {"id": message.call_id} if message.call_id in ids else {}
    return {"functionResponse": {**known, "name": name, "response": {"result": message.text}}}


def _is_result(part: Mapping[str, Any]) -> bool:
    return "functionResponse" in part


def _image(image: Image) -> Content:
    if not image.url:
        return {"inlineData": {"mimeType": image.media_type, "data": b64encode(image.data).decode()}}
    media_type = image.media_type or mimetypes.guess_type(image.url)[0]
    return {"fileData": {"fileUri": image.url, **({"mimeType": media_type} if media_type else {})}}


def _text(text: str) -> list[Content]:
    """A part of text; an empty one is left out, since it is refused."""
    return [{"text": text}] if text else []


def _opening() -> Content:
    return {"role": "user", "parts": _text(_OPENING)}
