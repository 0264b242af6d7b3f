"""A server on loopback that answers with any bytes at all, and requests to it over a transport."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from agentkit.connections import Connections

PATIENCE = 60.0  # seconds, after which a test hangs
OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"

Part = bytes | float | anyio.Event | None  # sent, slept, waited for; None hangs up
Result = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, headers, body


@dataclass
class Server:
    """Answers every request with `reply`; knows from which port each came."""

    reply: tuple[Part, ...]
    url: str = ""
    ports: list[int] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    accepted: int = 0
    open: int = 0
    sent: int = 0
    reads_bodies: bool = True
    streams: list[ByteStream] = field(default_factory=list)

    async def talk(self, stream: ByteStream) -> None:
        self.accepted, self.open = self.accepted + 1, self.open + 1
        self.streams.append(stream)
        try:
            async with stream:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.TypedAttributeLookupError):
                    while await self._answer(stream):
                        pass
        finally:
            self.open -= 1

    async def _answer(self, stream: ByteStream) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive()
        head, _, body = request.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        while self.reads_bodies and len(body) < length:
            body += await stream.receive()
        self.requests.append(head)
        self.ports.append(stream.extra(SocketAttribute.remote_port))
        for part in self.reply:
            if part is None:
                return False
            if isinstance(part, bytes):
                for at in range(0, len(part), 65536):
                    await stream.send(part[at : at + 65536])
                    self.sent += 65536
            elif isinstance(part, anyio.Event):
                await part.wait()
            else:
                await anyio.sleep(part)
        return True


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another task, or the other end, sees to."""
    with anyio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 - sockets set no event
            await anyio.sleep(0.001)


@asynccontextmanager
async def serving(*reply: Part, secret: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(reply)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        port = listener.extra(SocketAttribute.local_port)
        server.url = f"{'https' if secret else 'http'}://127.0.0.1:{port}/v1"
        wrapped = TLSListener(listener, secret, standard_compatible=False) if secret else listener
        group.start_soon(wrapped.serve, server.talk)
        yield server
        group.cancel_scope.cancel()


@asynccontextmanager
async def opened(trust: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> AsyncIterator[Connections]:
    connections = Connections(trust)
    try:
        yield connections
    finally:
        await connections.aclose()


async def begin(
    transport: httpx.AsyncBaseTransport,
    url: str,
    content: bytes = b"{}",
    *,
    read: float = PATIENCE,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    limits = {"timeout": {"connect": PATIENCE, "read": read}}
    request = httpx.Request("POST", url, content=content, headers=headers, extensions=limits)
    return await transport.handle_async_request(request)


async def finish(response: httpx.Response) -> Result:
    try:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in response.stream])
    finally:
        await response.aclose()
    return response.status_code, [(name.lower(), value) for name, value in response.headers.raw], body


async def ask(transport: httpx.AsyncBaseTransport, url: str, content: bytes = b"{}", **more: Any) -> Result:
    with anyio.fail_after(PATIENCE):
        return await finish(await begin(transport, url, content, **more))
