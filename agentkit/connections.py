"""HTTP/1.1 connections to model servers: a transport for httpx, over asyncio, in which llhttp reads the replies.

Why not httpx's own: reading a token of a stream there costs more than all else that we do about it, and a bare
asyncio cancellation may leave one of its connections open (docs/decisions.md). HTTP is read by llhttp, through
httptools. What is left is here: connect, write a request, wait with a limit, and keep what can be used again.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - a socket is only this cheap as a protocol of the event loop
import math
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import httptools
import httpx

if TYPE_CHECKING:
    import ssl

IDLE_SECONDS = 5.0
"""For how long an unused connection is kept; servers close theirs after a minute, so few are met closing."""

MOST_IDLE = 100
"""Unused connections kept for one server."""

_HEAD_START = 0.25  # seconds that an address has before the next is tried beside it
_LARGEST_HEAD = 64 * 1024  # bytes; what a reply may say before its body begins
_LARGEST_UNREAD = 256 * 1024  # bytes; more than that waits in the socket until the reader comes


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class Connections(httpx.AsyncBaseTransport):
    """Makes requests on connections of this event loop, which it keeps for the next ones.

    For GET and POST whose body is in memory. Of the request's timeouts `connect` and `read` hold; the latter is
    added to the loop's time at each wait, so it may be a number that knows better (`agentkit.http`).
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust  # asked when the first connection needs it, since making one takes long
        self._idle: dict[Origin, deque[_Connection]] = {}  # the latest last
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return when the head of the reply is here; raises httpx.TransportError."""
        url, limits = request.url, request.extensions.get("timeout", {})
        origin = Origin(url.scheme, url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80))
        connection = self._take(origin) or await self._connect(origin, limits.get("connect"))
        try:
            head = await connection.ask(_written(request), limits.get("read"))
        except BaseException:
            connection.abort()
            raise
        body = _Body(connection, limits.get("read"), lambda: self._keep(origin, connection))
        return httpx.Response(head.status, headers=head.headers, stream=body, request=request)

    async def aclose(self) -> None:
        """Close the connections that are not in use, and the others when their replies end."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    async def _connect(self, origin: Origin, limit: float | None) -> _Connection:
        """Open a connection within `limit` seconds."""
        loop = asyncio.get_running_loop()
        trust, name = (self._trust(), origin.host) if origin.scheme == "https" else (None, None)
        try:
            with anyio.fail_after(limit):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop), sock=await _reached(loop, origin), ssl=trust, server_hostname=name
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the connection took too long") from error
        except OSError as error:  # also of name resolution and TLS
            raise httpx.ConnectError(str(error)) from error
        return connection

    def _take(self, origin: Origin) -> _Connection | None:
        """Return the connection that was used last and may be used again."""
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: _Connection) -> None:
        """Take back a connection whose reply is over."""
        if self._closed or not connection.rest():
            connection.abort()
            return
        connections = self._idle.setdefault(origin, deque())
        connections.append(connection)
        while len(connections) > MOST_IDLE or not connections[0].usable:
            connections.popleft().abort()


class _Head(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]


class _Connection(asyncio.Protocol):
    """One connection, and the reply that is being read from it: llhttp calls the methods that begin with `on_`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # when the present wait is over
        self._unused_since = 0.0
        self._failure: Exception | None = None  # why no more comes
        self._new_reply()

    def _new_reply(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: _Head | None = None
        self._unread: list[bytes] = []
        self._size = 0  # bytes of the head, then of what is unread
        self._done = self._keeps = self._ends_by_closing = False

    # ------------------------------------------------ for the transport
    @property
    def usable(self) -> bool:
        """Whether the server has neither closed it nor said a word, and it has not rested for too long."""
        is_open = self._failure is None and not self._transport.is_closing()
        return is_open and self._loop.time() < self._unused_since + IDLE_SECONDS

    async def ask(self, request: bytes, limit: float | None) -> _Head:
        """Write `request` and return the head of the reply."""
        self._new_reply()
        self._transport.write(request)  # whole: it is in memory anyway, and a reply may come before it is gone
        while self._head is None:
            await self.more(limit)
        return self._head

    async def more(self, limit: float | None) -> None:
        """Wait until more has come; raises what went wrong, httpx.ReadTimeout after `limit` seconds."""
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        if limit is not None:
            self._watch(self._loop.time() + limit)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self) -> bytes:
        """Return what of the body has come since it was last asked for."""
        unread = self._unread
        if not unread:
            return b""
        self._unread, self._size = [], 0
        if not self._transport.is_reading():
            self._transport.resume_reading()
        return unread[0] if len(unread) == 1 else b"".join(unread)

    @property
    def done(self) -> bool:
        """Whether the whole reply is here."""
        return self._done

    def rest(self) -> bool:
        """Be unused from now on; returns whether it may be used again."""
        self._unused_since = self._loop.time()
        self._unwatch()
        return self._done and self._keeps and self._failure is None

    def abort(self) -> None:
        """Close it at once."""
        self._unwatch()
        self._transport.abort()

    # ------------------------------------------------ time
    def _watch(self, due: float) -> None:
        """See to it that the wait ends when it is `due`.

        The timer of an earlier wait is left to run, as a timer for each token would cost more than the token: when
        it rings too early it is set again.
        """
        self._due = due
        if self._timer is not None and self._timer.when() > due:
            self._unwatch()
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._ring)
        else:
            self._waiter.set_exception(httpx.ReadTimeout("the reply is late"))

    # ------------------------------------------------ from the event loop
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"what the server sent is not HTTP: {error}"))
        if self._head is None and self._size > _LARGEST_HEAD:
            self._fail(httpx.RemoteProtocolError("the head of the reply has no end"))
        elif self._size > _LARGEST_UNREAD:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._head is not None and self._ends_by_closing and error is None and self._failure is None:
            self._done = True
        said_nothing = self._head is None and not self._size
        what = "without sending a reply" if said_nothing else "before the reply was complete"
        self._fail(
            httpx.ReadError(str(error)) if error else httpx.RemoteProtocolError(f"the server hung up {what}")
        )
        self._wake()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ------------------------------------------------ from llhttp
    def on_message_begin(self) -> None:
        if self._done:  # whoever reads the reply has it whole; the connection is not used again
            raise httptools.HttpParserError("there is more than one reply")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim reply; the one that counts follows
            return
        framed = {name.lower() for name, _ in self._headers} & {b"content-length", b"transfer-encoding"}
        self._keeps, self._ends_by_closing = self._parser.should_keep_alive(), not framed
        self._head, self._size = _Head(status, self._headers), 0

    def on_body(self, body: bytes) -> None:
        self._unread.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        if self._head is None:
            self._headers = []
        else:
            self._done = True


class _Body(httpx.AsyncByteStream):
    """The body of a reply in the pieces in which it comes, each as large as what has arrived when it is wanted."""

    def __init__(self, connection: _Connection, limit: float | None, release: Callable[[], None]) -> None:
        self._connection, self._limit, self._release = connection, limit, release
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        while self._open:
            if piece := connection.take():
                yield piece
            elif connection.done:
                return
            else:
                await connection.more(self._limit)

    async def aclose(self) -> None:
        """Give the connection back, to be used again if the reply was read to its end."""
        if self._open:
            self._open = False
            self._release()


async def _reached(loop: asyncio.AbstractEventLoop, origin: Origin) -> socket.socket:
    """Connect to the first address of a host that answers, as RFC 8305 has it; raises OSError.

    asyncio can do so too, and loses a socket or a task when it is cancelled meanwhile.
    """
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    reached: list[socket.socket] = []
    failures: list[OSError] = []

    async def attempt(family: int, kind: int, protocol: int, address: Any, over: anyio.Event) -> None:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, address)
            reached.append(opened)
            group.cancel_scope.cancel()
        except OSError as error:
            failures.append(error)
        finally:
            if opened not in reached:
                opened.close()
            over.set()

    try:
        async with anyio.create_task_group() as group:
            for family, kind, protocol, _, address in addresses:
                over = anyio.Event()
                group.start_soon(attempt, family, kind, protocol, address, over)
                with anyio.move_on_after(_HEAD_START):
                    await over.wait()
    except BaseException:
        for opened in reached:
            opened.close()
        raise
    for late in reached[1:]:
        late.close()
    if not reached:
        raise failures[0]
    return reached[0]


def _written(request: httpx.Request) -> bytes:
    """Return `request` as it is sent; raises httpx.LocalProtocolError for a header that would end too early."""
    lines = [b"%b: %b\r\n" % pair for pair in request.headers.raw]
    head = b"".join(lines)
    if head.count(b"\r") != len(lines) or head.count(b"\n") != len(lines) or b"\0" in head:
        raise httpx.LocalProtocolError("a header has a line break in it")
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (request.method.encode(), request.url.raw_path, head, request.content)
