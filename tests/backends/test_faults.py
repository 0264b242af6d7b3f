"""Every way a connection can go wrong ends in a typed error, on time by a patient clock, streamed or not."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

import anyio
import pytest
from anyio.abc import SocketStream

from agentkit import http
from agentkit.backends import Assembler, RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    BadResponse,
    ConfigError,
    ContentRefused,
    ContextOverflow,
    Overloaded,
    RateLimited,
    Unreachable,
)
from agentkit.http import Timeouts
from agentkit.messages import user
from agentkit.types import Completion, ModelCard, Request, ToolSpec
from agentkit.usage import Usage
from tests.backends.server import Conversation, raw
from tests.patient import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

LIMITS = Timeouts(connect=0.5, first_token=0.5, between_chunks=0.4, total=0.8)
CARD = ModelCard("test", "openai", "test-model", context_window=4096)
REQUEST = Request(messages=(user("hi"),), max_output_tokens=5)
HALF = b'data: {"choices": [{"index": 0, "delta": {"content": "half "}}]}\n\n'
END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = json.dumps(
    {
        "choices": [{"message": {"content": "half "}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
).encode()
PINGS: list[bytes | float] = [b": ping\n\n", 0.1] * 50
TRICKLE: list[bytes | float] = [HALF, 0.1] * 50
SPACES: list[bytes | float] = [b" ", 0.1] * 50
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def response(status: str, body: bytes = b"", *headers: str) -> Conversation:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]

    async def conversation(stream: SocketStream) -> None:
        await stream.send("\r\n".join([*lines, "", ""]).encode() + body)

    return conversation


def flooding(head: bytes, piece: bytes) -> Conversation:
    """Send pieces faster than they are read."""

    async def conversation(stream: SocketStream) -> None:
        end = time.monotonic() + 30  # by our clock, as that of the loop may be what does not go on
        await stream.send(head)
        while time.monotonic() < end:
            await stream.send(piece * (2**19 // len(piece)))

    return conversation


def sending(*parts: bytes | float) -> Conversation:
    """Send the bytes, sleep for the numbers of seconds, close."""

    async def conversation(stream: SocketStream) -> None:
        for part in parts:
            if isinstance(part, bytes):
                await stream.send(part)
            else:
                await anyio.sleep(part)

    return conversation


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


async def reset(stream: SocketStream) -> None:
    raw_socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    no_linger = struct.pack("ii", 1, 0)  # makes close send RST
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)


def error(**fields: object) -> bytes:
    return json.dumps({"error": fields}).encode()


@dataclass
class Fault:
    conversation: Conversation
    kind: type[BackendError]
    check: Callable[[BackendError], bool] = lambda error: True


def retry(seconds: float | None) -> Callable[[BackendError], bool]:
    return lambda error: isinstance(error, RateLimited) and error.retry_after == seconds


def phase(name: str) -> Callable[[BackendError], bool]:
    return lambda error: isinstance(error, BackendTimeout) and error.phase == name


def window(tokens: int, size: int) -> Callable[[BackendError], bool]:
    return lambda error: isinstance(error, ContextOverflow) and (error.tokens, error.window) == (tokens, size)


TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
FAULTS = {
    "429": Fault(response("429 Too Many", error(message="slow")), RateLimited, retry(None)),
    "429 seconds": Fault(response("429 Too Many", b"", "retry-after: 7"), RateLimited, retry(7.0)),
    "429 nonsense": Fault(response("429 Too Many", b"", "retry-after: soon"), RateLimited, retry(None)),
    "429 no credit": Fault(response("429 Too Many", error(code="insufficient_quota")), BadRequest),
    "402": Fault(response("402 Payment Required"), BadRequest),
    "500": Fault(response("500 Oops", b"<html>"), BackendUnavailable),
    "503": Fault(response("503 Busy", error(message="busy")), BackendUnavailable),
    "529": Fault(response("529 Overloaded", b"", "retry-after: 3"), Overloaded, lambda e: e.retry_after == 3),
    "503 overloaded": Fault(response("503 Busy", error(code="server_is_overloaded")), Overloaded),
    "503 later": Fault(
        response("503 Busy", b"", "retry-after-ms: 1500"), BackendUnavailable, lambda e: e.retry_after == 1.5
    ),
    "408": Fault(response("408 Request Timeout"), BackendUnavailable),
    "401": Fault(response("401 No", error(message="bad key")), BadRequest, lambda e: "API key" in str(e)),
    "404": Fault(response("404 No", error(message="no model")), BadRequest, lambda e: "URL http://" in str(e)),
    "redirect": Fault(response("302 Found", b"", "location: http://127.0.0.1:1/"), BadRequest),
    "overflow by code": Fault(
        response("400 Bad", error(code="context_length_exceeded", message=TOO_LONG)),
        ContextOverflow,
        window(9001, 8192),
    ),
    "overflow by text": Fault(response("400 Bad", error(message=TOO_LONG)), ContextOverflow, window(9001, 8192)),
    "overflow untold": Fault(
        response("400 Bad", error(code="context_length_exceeded")), ContextOverflow, window(4097, 4096)
    ),
    "refused": Fault(response("400 Bad", error(code="content_filter")), ContentRefused),
    "bad request": Fault(response("400 Bad", error(message="no such field")), BadRequest),
    "broken error body": Fault(
        sending(b"HTTP/1.1 503 Busy\r\ncontent-length: 99\r\n\r\nhalf"), BackendUnavailable
    ),
    "stalled error body": Fault(sending(b"HTTP/1.1 429 Slow\r\ncontent-length: 9\r\n\r\n", 30.0), RateLimited),
    "reset": Fault(reset, BackendUnavailable),
    "closed": Fault(sending(), BackendUnavailable),
    "not HTTP": Fault(sending(b"SSH-2.0-OpenSSH\r\n\r\n"), BackendUnavailable),
    "truncated headers": Fault(sending(b"HTTP/1.1 200 OK\r\ncontent-ty"), BackendUnavailable),
    "bad compression": Fault(
        response("200 OK", b"not gzip", "content-encoding: gzip", "content-type: text/event-stream"), BadResponse
    ),
    "HTML": Fault(response("200 OK", b"<html>hello</html>", "content-type: text/html"), BadResponse),
    "stall before headers": Fault(sending(30.0), BackendTimeout),
}
STREAM_FAULTS = {
    "stall before the first event": Fault(sending(SSE_HEAD, 30.0), BackendTimeout, phase("first_token")),
    "pings but no event": Fault(sending(SSE_HEAD, *PINGS), BackendTimeout, phase("first_token")),
    "stall in the middle": Fault(sending(SSE_HEAD + HALF, 30.0), BackendTimeout, phase("between_chunks")),
    "pings in the middle": Fault(sending(SSE_HEAD + HALF, *PINGS), BackendTimeout, phase("between_chunks")),
    "trickle": Fault(sending(SSE_HEAD, *TRICKLE), BackendTimeout, phase("total")),
    "flood of comments": Fault(flooding(SSE_HEAD, b": ping\n\n"), BackendTimeout, phase("first_token")),
    "flood of comments in the middle": Fault(
        flooding(SSE_HEAD + HALF, b": ping\n\n"), BackendTimeout, phase("between_chunks")
    ),
    "flood of events": Fault(flooding(SSE_HEAD, HALF), BackendTimeout, phase("total")),
    "truncated event": Fault(sending(SSE_HEAD + HALF + b'data: {"cho'), BackendUnavailable),
    "truncated chunk": Fault(
        sending(
            SSE_HEAD.replace(b"connection: close", b"transfer-encoding: chunked") + chunked(HALF) + b"99\r\nda"
        ),
        BackendUnavailable,
    ),
    "truncated JSON": Fault(sending(SSE_HEAD + HALF + b'data: {"cho\n\n' + END + DONE), BadResponse),
    "no end": Fault(sending(SSE_HEAD + HALF), BackendUnavailable),
    "done without an end": Fault(sending(SSE_HEAD + HALF + DONE), BackendUnavailable),
    "error event": Fault(
        sending(SSE_HEAD + HALF + b"data: " + error(message="overloaded", code=529) + b"\n\n"),
        Overloaded,
        lambda e: e.may_be_billed,
    ),
    "JSON instead": Fault(response("200 OK", WHOLE, "content-type: application/json"), BadResponse),
}
WHOLE_FAULTS = {
    "truncated JSON": Fault(response("200 OK", WHOLE[:40]), BadResponse),
    "truncated body": Fault(
        sending(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + WHOLE), BackendUnavailable
    ),
    "stalled body": Fault(
        sending(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n", 30.0), BackendTimeout, phase("total")
    ),
    "trickled body": Fault(
        sending(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n", *SPACES),
        BackendTimeout,
        phase("total"),
    ),
    "flooded body": Fault(flooding(b"HTTP/1.1 200 OK\r\n\r\n", b" "), BackendTimeout, phase("total")),
    "wrong shape": Fault(response("200 OK", b'{"choices": []}'), BadResponse),
    "error inside 200": Fault(response("200 OK", error(message="upstream", code=502)), BackendUnavailable),
}
CASES = (
    [(name, fault, stream) for stream in (False, True) for name, fault in FAULTS.items()]
    + [(name, fault, True) for name, fault in STREAM_FAULTS.items()]
    + [(name, fault, False) for name, fault in WHOLE_FAULTS.items()]
)


async def call(url: str, stream: bool, timeouts: Timeouts = LIMITS) -> Completion:
    backend = RemoteBackend(CARD, OpenAIChat(), base_url=url, timeouts=timeouts)
    try:
        if not stream:
            return await backend.complete(REQUEST)
        reply = Assembler()
        async with aclosing(backend.stream(REQUEST)) as deltas:
            async for delta in deltas:
                reply.add(delta)
        return reply.partial()
    finally:
        await backend.aclose()


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        pytest.param(fault, stream, id=f"{'streamed' if stream else 'whole'}-{name}")
        for name, fault, stream in CASES
    ],
)
async def test_faults_are_typed_and_on_time(fault: Fault, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MOST_CONTENT", 1 << 40)  # a flood is to end by its time here
    async with raw(fault.conversation) as url:
        start = anyio.current_time()
        with pytest.raises(fault.kind) as caught:
            await call(url, stream)
        assert anyio.current_time() - start < LIMITS.total + 1
    assert type(caught.value) is fault.kind
    assert fault.check(caught.value), repr(caught.value)
    assert caught.value.model == "test"


@pytest.mark.parametrize("name", ["stall in the middle", "truncated chunk", "no end", "error event"])
async def test_a_broken_stream_carries_what_had_arrived(name: str) -> None:
    async with raw(STREAM_FAULTS[name].conversation) as url:
        with pytest.raises(BackendError) as caught:
            await call(url, stream=True)
    assert caught.value.partial is not None
    assert caught.value.partial.message.text == "half "
    assert caught.value.partial.usage is None


RECORD = Usage(4, output_tokens=1)


@pytest.mark.parametrize(
    ("conversation", "usage"),
    [
        pytest.param(sending(SSE_HEAD + HALF + END + USAGE + DONE), RECORD, id="good"),
        pytest.param(sending(SSE_HEAD + HALF + END + USAGE), RECORD, id="no done"),
        pytest.param(sending(SSE_HEAD + HALF + END + USAGE + USAGE + DONE), RECORD, id="usage twice"),
        pytest.param(sending(SSE_HEAD + HALF + END + USAGE + DONE, 30.0), RECORD, id="left open"),
        pytest.param(sending(SSE_HEAD + HALF + END + DONE), None, id="no usage"),
        pytest.param(sending(SSE_HEAD + HALF + END), None, id="closed after the finish reason"),
        pytest.param(sending(SSE_HEAD + HALF + END, 30.0), None, id="stalled after the finish reason"),
        pytest.param(
            sending(
                SSE_HEAD.replace(b"connection: close", b"content-encoding: gzip"),
                gzip.compress(HALF + END + USAGE),
            ),
            RECORD,
            id="compressed",
        ),
    ],
)
async def test_a_reply_whose_text_is_whole_is_a_reply(conversation: Conversation, usage: Usage | None) -> None:
    async with raw(conversation) as url:
        start = anyio.current_time()
        reply = await call(url, stream=True)
        assert anyio.current_time() - start < LIMITS.between_chunks + 1
    assert (reply.message.text, reply.finish_reason, reply.usage) == ("half ", "stop", usage)


async def test_a_whole_reply_without_usage_has_none() -> None:
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
    async with raw(response("200 OK", body)) as url:
        assert (await call(url, stream=False)).usage is None


@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_listens(stream: bool) -> None:
    async with raw(sending()) as url:
        pass
    with pytest.raises(Unreachable, match="check the base URL http://") as caught:
        await call(url, stream)
    assert not caught.value.may_be_billed


@pytest.mark.parametrize("stream", [False, True])
async def test_connecting_has_its_own_limit(stream: bool) -> None:
    """A listener with a full queue drops new connections, so connecting hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        try:
            with pytest.raises(BackendTimeout) as caught:
                await call(url, stream, Timeouts(connect=0.2, first_token=3, total=3))
            assert caught.value.phase == "connect" and not caught.value.may_be_billed
        finally:
            for client in waiting:
                client.close()


async def test_a_refused_stream_leaves_no_connection_behind() -> None:
    closed = anyio.Event()

    async def conversation(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()
        closed.set()

    async with raw(conversation) as url:
        backend = RemoteBackend(CARD, OpenAIChat(), base_url=url)
        with pytest.raises(BadResponse):
            await anext(backend.stream(REQUEST))
        with anyio.fail_after(30):
            await closed.wait()
        await backend.aclose()


async def test_the_limits_of_a_caller_stay_the_callers() -> None:
    async with raw(sending(30.0)) as url:
        with pytest.raises(TimeoutError), anyio.fail_after(0.1):
            await call(url, stream=True)


@pytest.mark.parametrize("key", ["sk\u20131", "sk-1\nx: y", "sk-1\x00"])
def test_a_broken_key_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ConfigError, match="api_key") as caught:
        RemoteBackend(CARD, OpenAIChat(), base_url="http://x/v1", api_key=key)
    assert key not in str(caught.value)


def test_the_base_url_must_be_http() -> None:
    with pytest.raises(ConfigError, match="base_url"):
        RemoteBackend(CARD, OpenAIChat(), base_url="localhost:8000")


@pytest.mark.parametrize(
    "request_",
    [
        Request(messages=(user("\ud800"),), max_output_tokens=5),
        Request(messages=(user("x"),), max_output_tokens=5, temperature=float("nan")),
        Request(messages=(user("x"),), max_output_tokens=5, tools=(ToolSpec("f", "", {"default": {1, 2}}),)),
    ],
    ids=["surrogate", "nan", "set"],
)
async def test_what_cannot_be_written_as_json_is_refused_before_it_is_sent(request_: Request) -> None:
    backend = RemoteBackend(CARD, OpenAIChat(), base_url="http://127.0.0.1:1/v1")
    with pytest.raises(BadRequest, match="JSON"):
        await backend.complete(request_)
    await backend.aclose()
