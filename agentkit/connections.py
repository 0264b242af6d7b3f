"""HTTP/1.1 connections to model servers: a transport for httpx, over asyncio, in which llhttp reads the replies.

Why not httpx's own: reading a token of a stream there costs more than all else that we do about it, and a bare
asyncio cancellation may leave one of its connections open (docs/decisions.md). HTTP is read by llhttp, through
httptools. What is left is here: connect, write a request, wait with a limit, and keep what can be used again.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - a socket is only this cheap as a protocol of the event loop
import math
import re
import select
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import anyio
import httptools
import httpx

if TYPE_CHECKING:
    import ssl

IDLE_SECONDS = 4.0
"""For how long an unused connection is kept; uvicorn, which serves vLLM, closes its own after 5, most later."""

MOST_IDLE = 100
"""Unused connections kept for one server."""

_HEAD_START = 0.25  # seconds that an address has before the next is tried beside it
_LARGEST_HEAD = 64 * 1024  # bytes; what a reply may say without a byte of body in it: heads, trailers
_LARGEST_UNREAD = 256 * 1024  # bytes; more than that waits in the socket until the reader comes
_FRAMING = (b"content-length", b"transfer-encoding")
_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\0\r\n]*\r\n)+")  # headers, RFC 9110 5.1 and 5.5


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
        written = _written(request)
        connection = self._take(origin) or await self._connect(origin, limits.get("connect"))
        try:
            head = await connection.ask(written, limits.get("read"))
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
        loop, secured = asyncio.get_running_loop(), dict[str, Any]()
        try:
            if origin.scheme == "https":
                secured = {"ssl": self._trust(), "server_hostname": origin.host}
            with anyio.fail_after(limit):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop), sock=await _reached(loop, origin), **secured
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the connection took too long") from error
        except (OSError, ValueError, OverflowError) as error:  # of TLS, and of names and ports there cannot be
            raise httpx.ConnectError(str(error)) from error
        return connection

    def _take(self, origin: Origin) -> _Connection | None:
        """Return the connection that was used last and may be used again."""
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.usable and not connection.readable:
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
        while connections and (len(connections) > MOST_IDLE or not connections[0].usable):
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
        self._size = 0  # bytes that came since the reply or its body began, or since some of it was read
        self._done = self._keeps = self._ends_by_closing = False

    # ------------------------------------------------ for the transport
    @property
    def usable(self) -> bool:
        """Whether the server has neither closed it nor said a word, and it has not rested for too long."""
        is_open = self._failure is None and not self._transport.is_closing()
        return is_open and self._loop.time() < self._unused_since + IDLE_SECONDS

    @property
    def readable(self) -> bool:
        """Whether the socket has what this loop has not read yet, such as the end while the loop was busy."""
        opened = self._transport.get_extra_info("socket")
        if not hasattr(select, "poll"):  # on Windows, whose select takes a socket of any number
            return bool(select.select([opened], [], [], 0)[0])
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        return bool(poll.poll(0))

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
        self.watch(limit)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @property
    def is_ahead(self) -> bool:
        """Whether some of the body waits to be taken and more is to come."""
        return bool(self._unread) and not self._done

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
        self.take()  # what nobody wanted may have stopped the reading
        is_over = (
            self._done and not self._transport.get_write_buffer_size()
        )  # refused early, a request is still sent
        return is_over and self._keeps and self.usable

    def abort(self) -> None:
        """Close it at once."""
        self._unwatch()
        self._transport.abort()

    # ------------------------------------------------ time
    def watch(self, limit: float | None) -> None:
        """See to it that the wait ends after `limit` seconds; raises httpx.ReadTimeout where none are left.

        The timer cannot see to the latter: the loop serves sockets first, so where more always comes there is no
        wait left to end. That of an earlier wait is left to run, as a timer for each token would cost more than
        the token: when it rings too early it is set again.
        """
        if limit is None:
            return
        now = self._loop.time()
        self._due = due = now + limit
        if due <= now:
            raise httpx.ReadTimeout("the reply is late")
        if self._timer is not None and self._timer.when() > due:
            self._unwatch()
        if self._timer is None and due < math.inf:
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
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(f"what the server sent is not HTTP: {error.__context__ or error}")
        if self._size > _LARGEST_HEAD and not self._unread:
            self._refuse("the head or the trailer of the reply has no end")
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

    def _refuse(self, why: str) -> None:
        """Take nothing more of a server that does not keep to HTTP; what was understood may still be read."""
        self._fail(httpx.RemoteProtocolError(why))
        self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ------------------------------------------------ from llhttp
    def on_message_begin(self) -> None:
        if self._done:  # whoever reads the reply has it whole; the connection is not used again
            raise httptools.HttpParserError("there is more than one reply")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # not a trailer
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim reply; the one that counts follows
            return
        framing = [(name.lower(), value.lower()) for name, value in self._headers if name.lower() in _FRAMING]
        codings = [value for name, value in framing if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):  # llhttp would leave the others in the body
            raise httptools.HttpParserError("its transfer encoding is not chunked")
        self._keeps, self._ends_by_closing = self._parser.should_keep_alive(), not framing
        self._head, self._size = _Head(status, self._headers), 0

    def on_body(self, body: bytes) -> None:
        self._unread.append(body)

    def on_message_complete(self) -> None:
        if self._head is None:
            self._headers = []
        else:
            self._done = True


class _Body(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The body of a reply in the pieces in which it comes, each as large as what has arrived when it is wanted."""

    def __init__(self, connection: _Connection, limit: float | None, release: Callable[[], None]) -> None:
        self._connection, self._limit, self._release = connection, limit, release
        self._open = True

    def __aiter__(self) -> Self:
        return self  # no generator: one that is left early is closed by a task, later

    async def __anext__(self) -> bytes:
        connection = self._connection
        if self._open and connection.is_ahead:  # of a slow reader, whom a server may keep from ever waiting
            connection.watch(self._limit)
        while self._open:
            if piece := connection.take():
                return piece
            if connection.done:
                raise StopAsyncIteration
            await connection.more(self._limit)
        raise httpx.ReadError("the reply was closed before it was read")

    async def aclose(self) -> None:
        """Give the connection back, to be used again if the reply was read to its end."""
        if self._open:
            self._open = False
            self._release()


async def _reached(loop: asyncio.AbstractEventLoop, origin: Origin) -> socket.socket:
    """Connect to the first address of a host that answers, each with a head start on the next (RFC 8305).

    Raises OSError. asyncio can do so too, and loses a socket or a task when it is cancelled meanwhile.
    """
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    reached: list[socket.socket] = []
    failures: list[Exception] = []

    async def attempt(family: int, kind: int, protocol: int, address: Any, over: anyio.Event) -> None:
        opened = None
        try:
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            await loop.sock_connect(opened, address)
            reached.append(opened)
            group.cancel_scope.cancel()
        except (OSError, OverflowError) as error:
            failures.append(error)
        finally:
            if opened and opened not in reached:
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
    headers = request.headers.raw
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if not _LINES.fullmatch(lines) or lines.count(b"\n") != len(headers):
        raise httpx.LocalProtocolError("a header has a name or a value that HTTP cannot carry")
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (request.method.encode(), request.url.raw_path, lines, request.content)
