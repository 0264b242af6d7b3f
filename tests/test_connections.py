"""Connections under model calls: what a reply is, and when its connection serves another."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the connections are protocols of its event loop
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from agentkit import connections as ours
from agentkit.connections import _Connection
from tests.loopback import CHUNKED, HI, OK, PATIENCE, Part, Result, ask, begin, finish, opened, serving, until

pytestmark = pytest.mark.anyio
LAST = b"0\r\n\r\n"


# ---------------------------------------------------------------- reuse
async def test_a_connection_serves_one_request_after_the_other_and_two_serve_two_at_once() -> None:
    async with serving(HI) as server, opened() as connections:
        for _ in range(2):
            assert (await ask(connections, server.url))[2] == b"hi"
        assert server.ports[0] == server.ports[1]
        both = [await begin(connections, server.url) for _ in range(2)]
        assert len(set(server.ports)) == 2
        assert [(await finish(response))[2] for response in both] == [b"hi", b"hi"]


async def test_an_idle_connection_is_closed_rather_than_used_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(HI) as server, opened() as connections:
        await ask(connections, server.url)
        monkeypatch.setattr(ours, "IDLE_SECONDS", 0.0)
        await ask(connections, server.url)
        assert len(set(server.ports)) == 2
        await until(lambda: server.open == 0)


@pytest.mark.parametrize("last", [None, b"HTTP/1.1 408 Late\r\n\r\n", b"hello"])
async def test_a_connection_that_the_server_closed_or_speaks_on_is_not_used(last: Part) -> None:
    later = anyio.Event()
    async with serving(HI, later, last) as server, opened() as connections:
        await ask(connections, server.url)
        later.set()
        await until(lambda: server.open == 0)
        server.reply = (HI,)
        assert (await ask(connections, server.url))[2] == b"hi"
        assert len(set(server.ports)) == 2


async def test_a_connection_that_the_server_closed_while_the_loop_was_busy_is_not_used() -> None:
    async with serving(HI) as server, opened() as connections:
        await ask(connections, server.url)
        await ask(connections, server.url)
        assert len(set(server.ports)) == 1
        server.streams[0].extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_WR)
        assert (await ask(connections, server.url))[2] == b"hi"  # no turn of the loop has read the end
        assert len(set(server.ports)) == 2


async def test_a_connection_that_ended_with_its_reply_is_not_kept() -> None:
    async with serving(HI) as server, opened() as connections:
        first = await begin(connections, server.url)
        server.reply = (HI, None)
        second = await begin(connections, server.url)
        connection = second.stream._connection  # type: ignore[union-attr]
        await until(lambda: connection._failure is not None)
        await finish(first)
        await finish(second)
        assert len(next(iter(connections._idle.values()))) == 1


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        HI + HI,
        HI + b"\0",
    ],
)
async def test_a_reply_after_which_the_connection_is_not_used(reply: bytes) -> None:
    async with serving(reply) as server, opened() as connections:
        for _ in range(2):
            assert (await ask(connections, server.url))[2] == b"hi"
        assert len(set(server.ports)) == 2
        await until(lambda: server.open == 0)


async def test_no_more_than_the_most_idle_are_kept_and_closing_closes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ours, "MOST_IDLE", 2)
    async with serving(HI) as server, opened() as connections:
        replies = [await begin(connections, server.url) for _ in range(4)]
        for response in replies[:3]:
            await finish(response)
        await until(lambda: server.open == 3)  # two idle, one in use
        await connections.aclose()
        await until(lambda: server.open == 1)
        assert (await finish(replies[3]))[2] == b"hi"
        await until(lambda: server.open == 0)


async def test_a_reply_that_is_left_early_ends_its_connection() -> None:
    async with serving(OK + b"content-length: 5\r\n\r\nhi") as server, opened() as connections:
        response = await begin(connections, server.url)
        await response.aclose()
        await until(lambda: server.open == 0)
        with pytest.raises(httpx.ReadError, match="closed"):
            await finish(response)


# ---------------------------------------------------------------- framing
REPLIES = {
    "length": HI,
    "no reason": b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi",
    "spaces around values": OK + b"content-length:2  \r\na:\t b c \t\r\n\r\nhi",
    "Latin-1": OK + b"a: \xe9\xff\r\ncontent-length: 2\r\n\r\nhi",
    "chunks": CHUNKED + b"1\r\nh\r\n1\r\ni\r\n" + LAST,
    "extensions and trailers": CHUNKED + b'2;a=b;c="d"\r\nhi\r\n0;x\r\nt: 1\r\ncontent-encoding: gzip\r\n\r\n',
    "to the end": OK + b"\r\nhi",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhi",
    "204": b"HTTP/1.1 204 No\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No\r\ncontent-length: 2\r\n\r\n",
    "304": b"HTTP/1.1 304 Same\r\ncontent-length: 2\r\n\r\n",
    "interim": b"HTTP/1.1 100 On\r\na: b\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + HI,
    "two": HI + b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    "more after the last": OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi there",
    "an offer to upgrade": OK + b"upgrade: h2\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nhi",
}
REFUSED = {
    "nothing": b"",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no version": b"HTTP 200 OK\r\n\r\n",
    "no number": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "half a head": OK + b"content-le",
    "half a body": OK + b"content-length: 5\r\n\r\nhi",
    "half a chunk": CHUNKED + b"5\r\nhi",
    "no last chunk": CHUNKED + b"2\r\nhi\r\n",
    "no end of trailers": CHUNKED + b"2\r\nhi\r\n0\r\n",
    "a switch": b"HTTP/1.1 101 On\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    **{
        f"length {x!r}": OK + b"content-length: %b\r\n\r\nhi" % x
        for x in (b"-2", b"+2", b"0x2", b"", b"2 2", b"9" * 30)
    },
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi",
    **{f"chunk {x!r}": CHUNKED + x + b"\r\nhi\r\n" + LAST for x in (b"zz", b"-2", b"0x2", b"", b"f" * 30)},
    "chunk too long": CHUNKED + b"2\r\nhiX\r\n" + LAST,
    "chunks in lines of LF": CHUNKED + b"2\nhi\n0\n\n",
    **{
        f"coding {x!r}": OK + b"transfer-encoding: %b\r\n\r\n2\r\nhi\r\n" % x + LAST
        for x in (b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked")
    },
    "coding twice": OK + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n2\r\nhi\r\n" + LAST,
    **{
        f"header {x!r}": HI.replace(b"OK\r\n", b"OK\r\n" + x + b"\r\n")
        for x in (b"a", b"a : b", b": b", b"a b: c", b" a: b")
    },
    **{f"value {x!r}": HI.replace(b"OK\r\n", b"OK\r\na: " + x + b"\r\n") for x in (b"b\0", b"b\rc")},
}
STRICTER = {  # httpx takes them: by each, servers have been made to see two requests or replies where there is one
    "length twice": OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "list of lengths": OK + b"content-length: 2, 2\r\n\r\nhi",
    "length and coding": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n" + LAST,
    "chunk and a space": CHUNKED + b"2 \r\nhi\r\n" + LAST,
    "folded": OK + b"a: b\r\n c\r\ncontent-length: 2\r\n\r\nhi",
    "lines of LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi",
}


async def outcome(transport: httpx.AsyncBaseTransport, url: str) -> Result | type[Exception]:
    try:
        return await ask(transport, url)
    except httpx.HTTPError as error:
        return type(error)


@pytest.mark.parametrize("name", [*REPLIES, *REFUSED, *STRICTER])
async def test_a_reply_is_what_httpx_makes_of_it(name: str) -> None:
    async with serving({**REPLIES, **REFUSED, **STRICTER}[name], None) as server, opened() as connections:
        async with httpx.AsyncHTTPTransport() as theirs:
            got, expected = await outcome(connections, server.url), await outcome(theirs, server.url)
    assert (expected is httpx.RemoteProtocolError) == (name in REFUSED)
    assert got == (httpx.RemoteProtocolError if name in STRICTER else expected)


@asynccontextmanager
async def fed() -> AsyncIterator[tuple[_Connection, socket.socket]]:
    """A connection to feed by hand, and the socket at its other end."""
    loop, (near, far) = asyncio.get_running_loop(), socket.socketpair()
    with closing(far):
        _, connection = await loop.create_connection(lambda: _Connection(loop), sock=near)
        try:
            yield connection, far
        finally:
            connection.abort()
            await checkpoint()


async def read(pieces: list[bytes]) -> Result | type[Exception]:
    """What a reply is that comes in these pieces, and then the connection ends."""
    result: list[Result | type[Exception]] = []

    async def reader() -> None:
        try:
            head = await connection.ask(b"", PATIENCE)
            body = b""
            while not connection.done or connection._unread:
                if not (piece := connection.take()):
                    await connection.more(PATIENCE)
                body += piece
            result.append((head.status, head.headers, body))
        except httpx.HTTPError as error:
            result.append(type(error))

    async with fed() as (connection, far), anyio.create_task_group() as group:
        group.start_soon(reader)
        await checkpoint()
        for piece in pieces:
            connection.data_received(piece)
            await checkpoint()
        far.close()
    return result[0]


def cut(whole: bytes, places: list[float]) -> list[bytes]:
    at = [0, *sorted(int(place * len(whole)) for place in places), len(whole)]
    return [whole[begin:end] for begin, end in zip(at, at[1:], strict=False) if begin < end]


PLACES = st.lists(st.floats(0, 1, exclude_max=True), max_size=12)


@given(name=st.sampled_from([*REPLIES, *REFUSED, *STRICTER]), places=PLACES)
async def test_a_reply_is_the_same_however_it_is_cut(name: str, places: list[float]) -> None:
    whole = {**REPLIES, **REFUSED, **STRICTER}[name]
    assert await read(cut(whole, places)) == await read([whole] if whole else [])


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    framing=st.sampled_from(["length", "chunks", "end"]),
    values=st.lists(st.text("azAZ09 ;,=\"'", max_size=9).map(str.strip), max_size=3),
    interim=st.booleans(),
    places=PLACES,
)
async def test_what_was_said_is_what_is_read(
    bodies: list[bytes], framing: str, values: list[str], interim: bool, places: list[float]
) -> None:
    body = sent = b"".join(bodies)
    headers = [(f"x-{at}".encode(), value.encode()) for at, value in enumerate(values)]
    if framing == "length":
        headers.append((b"content-length", b"%d" % len(body)))
    elif framing == "chunks":
        headers.append((b"transfer-encoding", b"chunked"))
        sent = b"".join(b"%X;x=y\r\n%b\r\n" % (len(part), part) for part in bodies) + b"0\r\nx-0: trailer\r\n\r\n"
    head = b"HTTP/1.1 418 Pot\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"
    whole = (b"HTTP/1.1 103 Hints\r\nx-0: early\r\n\r\n" if interim else b"") + head + sent
    assert await read(cut(whole, places)) == (418, headers, body)


async def test_a_large_reply_that_nobody_read_does_not_stop_the_next() -> None:
    async with fed() as (connection, far), anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(connection.ask, b"?", PATIENCE)
            assert await asyncio.get_running_loop().run_in_executor(None, far.recv, 1) == b"?"
            connection.data_received(OK + b"content-length: 300000\r\n\r\n")
            connection.data_received(bytes(300_000))
            assert not connection._transport.is_reading()
            assert connection.rest() and connection._transport.is_reading()
