"""Servers on loopback: an OpenAI-compatible provider, and one that sends any bytes at all."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Conversation = Callable[[SocketStream], Awaitable[None]]


@dataclass
class Reply:
    """What the provider says next."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()  # id, name, arguments
    usage: dict[str, Any] = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    )
    delay: float = 0.0
    page: str = ""  # HTML, which is sent instead of all this


class Provider:
    """A minimal chat-completions server; says `reply`, logs `requests`, counts the chunks it `sent`."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.requests: list[dict[str, Any]] = []
        self.ports: list[int] = []
        self.sent = 0
        self.ended = threading.Event()
        self.url = ""

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append({**body, "authorization": request.headers.get("authorization")})
        if self.reply.page:
            return HTMLResponse(self.reply.page)
        assert request.client
        self.ports.append(request.client.port)
        if body.get("stream"):
            return StreamingResponse(self._stream(body), media_type="text/event-stream")
        calls = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in self.reply.calls
        ]
        message = {"role": "assistant", "content": self.reply.text or None, "tool_calls": calls or None}
        choice = {"index": 0, "message": message, "finish_reason": self._finish(), "logprobs": None}
        return JSONResponse({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": self.reply.usage})

    def _finish(self) -> str:
        return "tool_calls" if self.reply.calls else "stop"

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        self.sent = 0
        self.ended.clear()
        try:
            for delta in self._deltas():
                yield _chunk([{"index": 0, "delta": delta, "finish_reason": None}], None)
                self.sent += 1
                await anyio.sleep(self.reply.delay)
            yield _chunk([{"index": 0, "delta": {}, "finish_reason": self._finish()}], None)
            if body.get("stream_options", {}).get("include_usage"):
                yield _chunk([], self.reply.usage)
            yield "data: [DONE]\n\n"
        finally:
            self.ended.set()

    def _deltas(self) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": ""}
        for word in re.findall(r"\S+\s*|\s+", self.reply.text):
            yield {"content": word}
        for index, (id_, name, _) in enumerate(self.reply.calls):
            function = {"name": name, "arguments": ""}
            yield {"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]}
        longest = max((len(arguments) for *_, arguments in self.reply.calls), default=0)
        for at in range(0, longest, 3):  # the arguments of parallel calls come interleaved
            for index, (*_, arguments) in enumerate(self.reply.calls):
                if arguments[at : at + 3]:
                    yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 3]}}]}


_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "test-model"}


def _chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> str:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n"


@contextmanager
def running() -> Iterator[Provider]:
    """Run a provider in a thread, on a port of its own."""
    provider = Provider()
    app = Starlette(routes=[Route("/v1/chat/completions", provider.chat, methods=["POST"])])
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    provider.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def raw(conversation: Conversation) -> AsyncIterator[str]:
    """Serve connections with `conversation`, which writes bytes after the request was read; yields a base URL."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await _read_request(stream)
            await conversation(stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"
        group.cancel_scope.cancel()


async def _read_request(stream: SocketStream) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.I)
    assert length
    while len(body) < int(length[1]):
        body += await stream.receive()
