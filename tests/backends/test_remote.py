"""RemoteBackend against a real server, with the official client reading the same replies as a peer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import anyio
import openai
import pytest

from agentkit.backends import Assembler, RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.errors import BadRequest, ConfigError, ContextOverflow
from agentkit.messages import Image, Message, ToolCall, user
from agentkit.types import Capabilities, Completion, ModelCard, Request, ToolSpec
from tests.backends.server import Provider, Reply

pytestmark = pytest.mark.anyio

CARD = ModelCard("test", backend="openai", model="test-model")
FROZEN = MappingProxyType({"type": "object", "properties": MappingProxyType({"query": {"type": "string"}})})
SEARCH = ToolSpec("search", "Search.", FROZEN)
REQUEST = Request(messages=(user("hello"),), max_output_tokens=50, tools=(SEARCH,))
DETAILED = {
    "prompt_tokens": 100,
    "completion_tokens": 30,
    "total_tokens": 130,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
ENDLESS = Reply("word " * 100_000, delay=0.01)  # for a quarter of an hour
REPLIES = {
    "text": Reply("Grüße, 世界!  Two  spaces\nand a line."),
    "one call": Reply(calls=(("call_a", "search", '{"query": "budget"}'),)),
    "parallel calls": Reply(
        "Looking.",
        calls=(("call_a", "search", '{"query": "é"}'), ("call_b", "search", "{}"), ("call_c", "other", "")),
    ),
    "cache and reasoning": Reply("Done.", usage=DETAILED),
}


@pytest.fixture
async def backend(provider: Provider) -> AsyncIterator[RemoteBackend]:
    backend = RemoteBackend(CARD, OpenAIChat(), base_url=provider.url, api_key=" key-1\n")
    yield backend
    await backend.aclose()


async def streamed(backend: RemoteBackend, request: Request = REQUEST) -> Completion:
    reply = Assembler()
    async with aclosing(backend.stream(request)) as deltas:
        async for delta in deltas:
            assert not reply.finished, "nothing may follow the finish reason"
            reply.add(delta)
    assert reply.finished
    return reply.partial()


async def read_by_peer(provider: Provider, stream: bool) -> tuple[str, list[tuple[str, str, str]], str, Any]:
    """Text, calls, finish reason and usage as the official client reads them."""
    arguments: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="key-1", max_retries=0) as client:
        if not stream:
            completion = await client.chat.completions.create(**arguments)
            message = completion.choices[0].message
            calls: list[Any] = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
            return message.content or "", calls, completion.choices[0].finish_reason, completion.usage
        text, finish, usage = "", "", None
        pieces: dict[int, tuple[str, str, str]] = {}
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        async for chunk in await client.chat.completions.create(**arguments):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or ():
                    id_, name, so_far = pieces.get(call.index, ("", "", ""))
                    pieces[call.index] = (
                        call.id or id_,
                        call.function.name or name,
                        so_far + (call.function.arguments or ""),
                    )
        return text, list(pieces.values()), finish, usage


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", REPLIES)
async def test_reads_what_the_official_client_reads(
    provider: Provider, backend: RemoteBackend, name: str, stream: bool
) -> None:
    provider.reply = REPLIES[name]
    text, calls, finish, usage = await read_by_peer(provider, stream)
    ours = await (streamed(backend) if stream else backend.complete(REQUEST))
    assert ours.message.text == text == provider.reply.text
    assert ours.message.tool_calls == tuple(ToolCall(*call) for call in calls)
    assert tuple(calls) == provider.reply.calls
    assert ours.finish_reason == finish
    assert ours.usage is not None
    assert (ours.usage.total_input, ours.usage.total_output) == (usage.prompt_tokens, usage.completion_tokens)


async def test_cached_and_reasoning_tokens_are_told_apart(provider: Provider, backend: RemoteBackend) -> None:
    provider.reply = REPLIES["cache and reasoning"]
    usage = (await streamed(backend)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens) == (36, 64)
    assert (usage.output_tokens, usage.reasoning_tokens) == (10, 20)


async def test_the_cap_the_key_and_the_usage_option_are_sent(provider: Provider, backend: RemoteBackend) -> None:
    await backend.complete(REQUEST)
    await streamed(backend)
    whole, stream = provider.requests
    assert whole["max_tokens"] == stream["max_tokens"] == 50
    assert whole["authorization"] == "Bearer key-1"
    assert stream["stream_options"] == {"include_usage": True}
    assert whole["tools"][0]["function"]["parameters"]["properties"] == {"query": {"type": "string"}}


async def test_headers_of_the_caller_go_with_every_call_over_those_of_the_dialect(provider: Provider) -> None:
    headers = {"Authorization": "Token mine", "X-Title": "tests"}
    backend = RemoteBackend(CARD, OpenAIChat(), base_url=provider.url, api_key="key-1", headers=headers)
    await backend.complete(REQUEST)
    await backend.aclose()
    assert provider.requests[0]["authorization"] == "Token mine"


@pytest.mark.parametrize("value", ["mine\r\nx: y", "schl\u00fcssel"])
def test_a_header_that_cannot_be_sent_is_refused_without_being_quoted(value: str) -> None:
    with pytest.raises(ConfigError, match="X-Key") as caught:
        RemoteBackend(CARD, OpenAIChat(), base_url="http://x/v1", headers={"X-Key": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_images_are_refused_where_the_model_takes_none(provider: Provider, stream: bool) -> None:
    card = replace(CARD, capabilities=Capabilities(images=False))
    backend = RemoteBackend(card, OpenAIChat(), base_url=provider.url)
    shown = replace(REQUEST, messages=(Message("user", "what is this?", images=(Image(url="http://x/a.png"),)),))
    with pytest.raises(BadRequest, match="images") as caught:
        await (streamed(backend, shown) if stream else backend.complete(shown))
    assert not caught.value.may_be_billed and provider.requests == []


async def test_a_prompt_that_cannot_fit_is_refused_without_a_call(provider: Provider) -> None:
    backend = RemoteBackend(replace(CARD, context_window=100), OpenAIChat(), base_url=provider.url)
    await backend.complete(replace(REQUEST, messages=(user(" " * 25_599),)))  # a hundred runs of spaces would fit
    with pytest.raises(ContextOverflow) as caught:
        await backend.complete(replace(REQUEST, messages=(user("x" * 12_800), user("y" * 12_800))))
    assert (caught.value.tokens, caught.value.window, len(provider.requests)) == (100, 100, 1)
    await backend.aclose()


async def test_without_a_key_no_authorization_is_sent(provider: Provider) -> None:
    backend = RemoteBackend(CARD, OpenAIChat(), base_url=provider.url)
    await backend.complete(REQUEST)
    await backend.aclose()
    assert provider.requests[0]["authorization"] is None


async def test_calls_reuse_one_connection(provider: Provider, backend: RemoteBackend) -> None:
    for _ in range(3):
        await streamed(backend)
        await backend.complete(REQUEST)
    assert len(provider.ports) == 6
    assert len(set(provider.ports)) == 1


async def test_closing_a_stream_early_closes_the_connection(provider: Provider, backend: RemoteBackend) -> None:
    provider.reply = ENDLESS
    async with aclosing(backend.stream(REQUEST)) as deltas:
        async for _ in deltas:
            break
    assert await anyio.to_thread.run_sync(provider.ended.wait, 60)


async def test_cancelling_a_stream_closes_the_connection(provider: Provider, backend: RemoteBackend) -> None:
    provider.reply, provider.sent = ENDLESS, 0
    async with anyio.create_task_group() as group:
        group.start_soon(streamed, backend)
        with anyio.fail_after(60):
            while not provider.sent:  # noqa: ASYNC110  # it has no event
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(provider.ended.wait, 60)


async def test_a_server_that_cannot_stream_is_asked_for_the_whole_reply(provider: Provider) -> None:
    provider.reply = REPLIES["parallel calls"]
    card = ModelCard("test", "openai", "test-model", capabilities=Capabilities(streaming=False))
    backend = RemoteBackend(card, OpenAIChat(), base_url=provider.url)
    reply = await streamed(backend)
    assert "stream" not in provider.requests[0]
    assert reply == await backend.complete(REQUEST)
    await backend.aclose()


async def test_concurrent_streams_do_not_mix(provider: Provider, backend: RemoteBackend) -> None:
    provider.reply = Reply("a b c d e f", delay=0.005)
    texts: list[str] = []

    async def one() -> None:
        texts.append((await streamed(backend)).message.text)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)
    assert texts == ["a b c d e f"] * 20


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_backend_outlives_event_loops(provider: Provider) -> None:
    provider.reply = Reply("hello")
    backend = RemoteBackend(CARD, OpenAIChat(), base_url=provider.url)

    async def call() -> str:
        return (await backend.complete(REQUEST)).message.text

    assert [anyio.run(call), anyio.run(call)] == ["hello", "hello"]


async def test_a_closed_backend_opens_again(provider: Provider, backend: RemoteBackend) -> None:
    await backend.complete(REQUEST)
    await backend.aclose()
    await backend.complete(REQUEST)
    assert len(set(provider.ports)) == 2


async def test_arguments_written_as_pieces_are_valid_json(provider: Provider, backend: RemoteBackend) -> None:
    provider.reply = Reply(calls=(("c", "search", json.dumps({"query": "ü" * 100, "deep": {"list": [1, 2]}})),))
    (call,) = (await streamed(backend)).message.tool_calls
    assert json.loads(call.arguments)["query"] == "ü" * 100
