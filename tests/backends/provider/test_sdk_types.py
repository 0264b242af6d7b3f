"""What we send and what the fakes say satisfies the official clients' own types, strictly.

The clients do not check what they read, so a field that is missing or wrong would pass them unseen; nor does a
fake that reads leniently tell that a field is sent which its provider does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types import message_create_params as anthropic_params
from google.genai import types as google
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses import response_create_params as responses_params
from pydantic import TypeAdapter, ValidationError

from agentkit.backends.provider import Provider, Reply
from agentkit.backends.provider.server import Dialect
from agentkit.messages import Image, Message, ToolCall, ToolResult, assistant, system, tool_message
from agentkit.types import Capabilities, Effort, ModelCard, Request, ToolSpec
from tests.backends.dialects import DIALECTS
from tests.backends.provider.plain import events, post
from tests.backends.provider.replies import CASES

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PARIS, OSLO = ToolCall("call-1", "weather", '{"city": "Paris"}'), ToolCall("call-2", "weather", '{"city": "Oslo"}')
CONVERSATION = (
    system("Be brief."),
    Message(
        "user", "What is this?", images=(Image("image/png", b"\x89PNG"), Image(url="https://a.example/b.png"))
    ),
    assistant("Let me look.", (PARIS, OSLO)),
    tool_message(ToolResult("call-1", "weather", "sunny")),
    tool_message(ToolResult("call-2", "weather", "rainy")),
    system("Two calls are left."),
)
ALL_ABLE = Capabilities(json_schema=True, reasoning_effort=True, logprobs=True, cache_control=True)
MODELS = {
    "openai": ("gpt-5-mini", "gpt-6"),
    "openai-responses": ("gpt-5-mini", "gpt-6"),
    "azure": ("my-deployment",),
    "anthropic": ("claude-3-7-sonnet", "claude-opus-4-6", "claude-opus-4-8", "claude-sonnet-5-1"),
    "gemini": ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.5-flash"),
}


@cache
def reader(sort: Any) -> TypeAdapter[Any]:
    """Return what reads a value of the type `sort`; making it takes a while."""
    return TypeAdapter(sort)


# ---------------------------------------------------------------- what we send
def strictly(*sorts: Any) -> Callable[[Any], Any]:
    """Return what reads a value as one of the clients' types of parameters, without a field they do not know."""
    made = []
    for sort in sorts:
        strict: Any = type("Strict", (sort,), {"__pydantic_config__": {"extra": "forbid"}})
        made.append(TypeAdapter(strict))

    def read(body: Any) -> Any:
        return _listed(made[bool(body.get("stream"))].validate_python(body))

    return read


def _listed(value: Any) -> Any:
    """Read the lazy sequences of the clients' types, which are checked only then."""
    if isinstance(value, dict):
        return {name: _listed(part) for name, part in value.items()}
    return value if value is None or isinstance(value, str | int | float) else [_listed(part) for part in value]


def _gemini(body: Mapping[str, Any]) -> Any:
    """Read a body of generateContent, which the client has no type for, part by part."""
    parts = {
        "contents": list[google.Content],
        "systemInstruction": google.Content,
        "tools": list[google.Tool],
        "toolConfig": google.ToolConfig,
        "generationConfig": google.GenerationConfig,
    }
    for name, part in body.items():
        reader(parts[name]).validate_python(part)
    return body


_chat = strictly(chat_params.CompletionCreateParamsNonStreaming, chat_params.CompletionCreateParamsStreaming)
PARAMETERS: Mapping[str, Callable[[Any], Any]] = {
    "openai": _chat,
    "azure": _chat,
    "openai-responses": strictly(
        responses_params.ResponseCreateParamsNonStreaming, responses_params.ResponseCreateParamsStreaming
    ),
    "anthropic": strictly(
        anthropic_params.MessageCreateParamsNonStreaming, anthropic_params.MessageCreateParamsStreaming
    ),
    "gemini": _gemini,
}


def spoken(dialect: Dialect, model: str, *, stream: bool, sampled: bool, effort: Effort | None = None) -> Any:
    """Return the body of a request that says all that can be said."""
    request = Request(
        messages=CONVERSATION,
        max_output_tokens=4_000,
        tools=(ToolSpec("weather", "Tells the weather.", SCHEMA),),
        temperature=0.5 if sampled else None,
        top_p=0.9 if sampled else None,
        seed=7,
        stop=("END",),
        logprobs=True,
        output_schema=SCHEMA,
        reasoning_effort=effort,
    )
    return DIALECTS[dialect].build_request(
        request, ModelCard(model, dialect, model, capabilities=ALL_ABLE), stream=stream
    )


@pytest.mark.parametrize("effort", [None, *get_args(Effort)])
@pytest.mark.parametrize(("dialect", "model"), [(name, model) for name in MODELS for model in MODELS[name]])
def test_a_request_says_nothing_that_the_official_client_could_not(
    dialect: Dialect, model: str, effort: Effort | None
) -> None:
    for stream in (False, True):
        sampled = dialect != "anthropic"  # its client has given up temperatures, which older models still take
        body = spoken(dialect, model, stream=stream, sampled=sampled, effort=effort)
        assert PARAMETERS[dialect](body) == body


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "gemini"])
def test_a_field_that_nobody_knows_is_found_anywhere(dialect: Dialect) -> None:
    """The check itself, where it can fail silently: within the lazy sequences."""
    turns = "input" if dialect == "openai-responses" else "messages"
    body = spoken(dialect, MODELS[dialect][0], stream=False, sampled=False)
    body[turns][0] = {**body[turns][0], "unheard_of": 1}
    try:
        assert PARAMETERS[dialect](body) != body
    except ValidationError as error:
        assert "unheard_of" in str(error)


# ---------------------------------------------------------------- what the fakes say
@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider({name: case.reply for name, case in CASES.items()}) as provider:
        yield provider


ASKED: Mapping[str, tuple[str, Callable[[str, int], dict[str, Any]], Any, Any]] = {
    "openai": (
        "/v1/chat/completions",
        lambda model, cap: {
            "model": model,
            "max_completion_tokens": cap,
            "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": True},
        },
        ChatCompletion,
        ChatCompletionChunk,
    ),
    "openai-responses": (
        "/v1/responses",
        lambda model, cap: {"model": model, "max_output_tokens": cap, "input": "hi"},
        Response,
        ResponseStreamEvent,
    ),
    "anthropic": (
        "/v1/messages",
        lambda model, cap: {
            "model": model,
            "max_tokens": cap,
            "messages": [{"role": "user", "content": "hi"}],
        },
        AnthropicMessage,
        RawMessageStreamEvent,
    ),
    "gemini": (
        "/v1beta/models/{model}:generateContent",
        lambda model, cap: {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"maxOutputTokens": cap},
        },
        google.GenerateContentResponse,
        google.GenerateContentResponse,
    ),
}
"""By dialect: where and what is asked, and the types of a whole reply and of one event."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", ASKED)
def test_a_reply_of_the_fake_is_one_of_its_provider(dialect: str, case: str, provider: Provider) -> None:
    path, body, whole, event = ASKED[dialect]
    path, asked = path.format(model=case), body(case, CASES[case].cap)
    reader(whole).validate_python(post(provider, path, asked))
    streamed = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    said = events(provider, streamed, asked | {"stream": True})
    assert said
    for data in said:
        if data != "[DONE]" and not data.startswith('{"type": "ping"'):  # which the client skips
            reader(event).validate_json(data)


def test_embeddings_of_the_fake_are_those_of_its_provider() -> None:
    with Provider(Reply("ok")) as provider:
        for form in ("float", "base64"):
            said: Any = post(provider, "/v1/embeddings", {"model": "e", "input": ["hi"], "encoding_format": form})
            if form == "base64":
                said["data"][0]["embedding"] = []  # the client unpacks it before it reads it
            CreateEmbeddingResponse.model_validate(said)
