"""What the official clients read from a provider, in our words: the peers of our dialects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import anthropic
import openai
from google import genai
from google.genai import types as google

from agentkit.backends.provider import Provider
from agentkit.types import FinishReason

TASK = "When is high tide?"
TOOLS = ("weather", "now")
_SCHEMA = {"type": "object", "properties": {}}


class Seen(NamedTuple):
    """A reply as a client reads it; arguments are parsed, tokens are input, cached, output and reasoning."""

    text: str
    calls: tuple[tuple[str, Any], ...]
    finish: FinishReason
    tokens: tuple[int, int, int, int]


Client = Callable[[Provider, str, int, bool], Seen]


def chat(provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with openai's chat completions."""
    return _chat(openai.OpenAI(base_url=provider.url("openai"), api_key="key", max_retries=0), model, cap, stream)


def azure(provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with openai's client for Azure, which puts the deployment into the path."""
    address, version = provider.url("azure"), "2024-10-21"
    client = openai.AzureOpenAI(azure_endpoint=address, api_key="key", api_version=version, max_retries=0)
    return _chat(client, model, cap, stream)


def _chat(client: openai.OpenAI, model: str, cap: int, stream: bool) -> Seen:
    ask: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": TASK}],
        "max_completion_tokens": cap,
        "tools": [{"type": "function", "function": {"name": name, "parameters": _SCHEMA}} for name in TOOLS],
    }
    with client:
        if stream:
            with client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as events:
                for _ in events:
                    pass
                completion: Any = events.current_completion_snapshot
        else:
            completion = client.chat.completions.create(**ask)
    choice, usage = completion.choices[0], completion.usage
    calls = tuple((c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or ())
    finish: FinishReason = "content_filter" if choice.message.refusal else choice.finish_reason
    text = choice.message.refusal or choice.message.content or ""
    reasoning = usage.completion_tokens_details.reasoning_tokens
    cached = usage.prompt_tokens_details.cached_tokens
    return Seen(text, calls, finish, (usage.prompt_tokens, cached, usage.completion_tokens, reasoning))


def responses(provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with openai's responses."""
    client = openai.OpenAI(base_url=provider.url("openai-responses"), api_key="key", max_retries=0)
    ask: dict[str, Any] = {
        "model": model,
        "input": TASK,
        "max_output_tokens": cap,
        "tools": [{"type": "function", "name": name, "parameters": _SCHEMA, "strict": False} for name in TOOLS],
    }
    with client:
        if stream:
            with client.responses.stream(**ask) as events:
                response: Any = next(
                    e.response for e in events if e.type in ("response.completed", "response.incomplete")
                )
        else:
            response = client.responses.create(**ask)
    content = [part for item in response.output if item.type == "message" for part in item.content]
    refused = any(part.type == "refusal" for part in content)
    calls = [item for item in response.output if item.type == "function_call"]
    finish: FinishReason = "tool_calls" if calls else "stop"
    if response.status == "incomplete":
        finish = {"max_output_tokens": "length"}[response.incomplete_details.reason]  # type: ignore[assignment]
    usage = response.usage
    return Seen(
        "".join(part.refusal if part.type == "refusal" else part.text for part in content),
        tuple((call.name, json.loads(call.arguments)) for call in calls),
        "content_filter" if refused else finish,
        (
            usage.input_tokens,
            usage.input_tokens_details.cached_tokens,
            usage.output_tokens,
            usage.output_tokens_details.reasoning_tokens,
        ),
    )


def messages(provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with anthropic's messages."""
    client = anthropic.Anthropic(base_url=provider.origin, api_key="key", max_retries=0)
    ask: dict[str, Any] = {
        "model": model,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": TASK, "cache_control": {"type": "ephemeral"}}],
            }
        ],
        "max_tokens": cap,
        "tools": [{"name": name, "input_schema": _SCHEMA} for name in TOOLS],
    }
    with client:
        if stream:
            with client.messages.stream(**ask) as events:
                message: Any = events.get_final_message()
        else:
            message = client.messages.create(**ask)
    finish: Mapping[str, FinishReason] = {
        "end_turn": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }
    usage = message.usage
    entire = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    return Seen(
        "".join(block.text for block in message.content if block.type == "text"),
        tuple((block.name, block.input) for block in message.content if block.type == "tool_use"),
        finish[message.stop_reason],
        (entire, usage.cache_read_input_tokens, usage.output_tokens, usage.output_tokens_details.thinking_tokens),
    )


def generate(provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with google-genai's generate_content."""
    declared = [google.FunctionDeclaration(name=name, parameters_json_schema=_SCHEMA) for name in TOOLS]
    config = google.GenerateContentConfig(
        max_output_tokens=cap, tools=[google.Tool(function_declarations=declared)]
    )
    with genai.Client(api_key="key", http_options=google.HttpOptions(base_url=provider.origin)) as client:
        if stream:
            pieces = list(client.models.generate_content_stream(model=model, contents=TASK, config=config))
        else:
            pieces = [client.models.generate_content(model=model, contents=TASK, config=config)]
    parts: list[Any] = [part for piece in pieces for part in piece.candidates[0].content.parts or ()]  # type: ignore[index, union-attr]
    calls = tuple((part.function_call.name, part.function_call.args) for part in parts if part.function_call)
    reason: Any = pieces[-1].candidates[0].finish_reason  # type: ignore[index]
    finish: FinishReason = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}[reason.name]  # type: ignore[assignment]
    usage: Any = pieces[-1].usage_metadata
    thoughts = usage.thoughts_token_count or 0
    return Seen(
        "".join(part.text or "" for part in parts if not part.thought),
        calls,
        "tool_calls" if calls and finish == "stop" else finish,
        (
            usage.prompt_token_count,
            usage.cached_content_token_count or 0,
            usage.candidates_token_count + thoughts,
            thoughts,
        ),
    )


CLIENTS: Mapping[str, Client] = {
    "openai": chat,
    "openai-responses": responses,
    "anthropic": messages,
    "gemini": generate,
    "azure": azure,
}
