"""Connections under model calls: what goes wrong, how long it may take, and that nothing is left behind."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the connections are made of its protocols and timers
import datetime
import ipaddress
import math
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agentkit import connections as ours
from agentkit.connections import Connections
from tests.loopback import CHUNKED, HI, OK, PATIENCE, Part, ask, begin, finish, opened, serving, until
from tests.patient import anyio_backend  # noqa: F401
from tests.test_cancellation import Awaits, _sockets

pytestmark = pytest.mark.anyio
BIG = b"0123456789abcdef" * (20 * 65536)  # 20 MB
ENDLESS = b"a" * 2**26


def timers(*names: str) -> list[str]:
    """The timers of the event loop that are still to ring, by what they call."""
    loop: Any = asyncio.get_running_loop()
    return [
        str(timer) for timer in loop._scheduled if not timer.cancelled() and any(n in str(timer) for n in names)
    ]


async def settled(sockets: int, at: int = 0) -> None:
    """Wait until no more sockets are open; the other end takes a moment."""
    with suppress(TimeoutError):
        await until(lambda: _sockets() <= sockets)
    assert _sockets() <= sockets, f"{_sockets() - sockets} sockets are left, cancelled at await {at}"


# ---------------------------------------------------------------- faults
@pytest.mark.parametrize(
    ("reply", "kind", "what"),
    [
        ((OK + b"content-length: 5\r\n\r\nhi", None), httpx.RemoteProtocolError, "before the reply was complete"),
        ((CHUNKED + b"5\r\nhi", None), httpx.RemoteProtocolError, "before the reply was complete"),
        ((OK, None), httpx.RemoteProtocolError, "before the reply was complete"),
        ((None,), httpx.RemoteProtocolError, "without sending a reply"),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), httpx.RemoteProtocolError, "not HTTP"),
        ((OK + b"transfer-encoding: gzip\r\n\r\n",), httpx.RemoteProtocolError, "coding is not chunked"),
        ((OK + b"a: " + ENDLESS,), httpx.RemoteProtocolError, "no end"),
        ((OK + b"a: b\r\n" * 2**23,), httpx.RemoteProtocolError, "no end"),
        ((b"HTTP/1.1 100 On\r\n\r\n" * 2**22,), httpx.RemoteProtocolError, "no end"),
        ((CHUNKED + b"2;" + ENDLESS,), httpx.RemoteProtocolError, "no end"),
        ((CHUNKED + b"2\r\nhi\r\n0\r\na: " + ENDLESS,), httpx.RemoteProtocolError, "no end"),
        ((CHUNKED + b"2\r\nhi\r\n0\r\n" + b"a: b\r\n" * 2**23,), httpx.RemoteProtocolError, "no end"),
    ],
)
async def test_a_fault_is_an_error_of_httpx(reply: tuple[Part, ...], kind: type[Exception], what: str) -> None:
    async with serving(*reply) as server, opened() as connections:
        with pytest.raises(kind, match=what):
            await ask(connections, server.url)
        await until(lambda: server.open == 0)
        assert server.sent < 2**25, "it was read to its end"


async def test_a_reset_is_a_read_error() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, opened() as connections:

        async def reset(stream: SocketStream) -> None:
            async with stream:
                await stream.receive()
                raw = stream.extra(SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, reset)
            with pytest.raises(httpx.ReadError, match="reset"):
                await ask(connections, f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/")
            group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("name", "value"),
    [("a", "b\r\nc: d"), ("a", "b\nc: d"), ("a", "b\rc"), ("a", "b\0"), ("a b", "c"), ("a:b", "c"), ("", "c")],
)
async def test_a_header_with_more_than_a_header_in_it_is_not_sent(name: str, value: str) -> None:
    async with serving(HI) as server, opened() as connections:
        with pytest.raises(httpx.LocalProtocolError):
            await ask(connections, server.url, headers={name: value})
        assert server.accepted == 0


async def test_a_large_request_that_is_refused_early_gets_the_refusal() -> None:
    refusal = b"HTTP/1.1 413 Too large\r\ncontent-length: 2\r\n\r\nno"
    async with serving(refusal, None) as server, opened() as connections:
        server.reads_bodies = False
        for _ in range(5):
            status, _, body = await ask(connections, server.url, BIG)
            assert (status, body) == (413, b"no")
    async with serving(refusal, PATIENCE) as server, opened() as connections:
        server.reads_bodies = False
        assert (await ask(connections, server.url, BIG))[0] == 413
        await until(lambda: not connections._idle)
        assert not connections._idle, "its request is not all sent"


async def stopped(response: httpx.Response) -> None:
    """Wait until no more is read of a reply, and see that it stays so."""
    assert isinstance(response.stream, ours._Body)
    connection = response.stream._connection
    await until(lambda: not connection._transport.is_reading())
    await anyio.sleep(0.1)
    assert sum(map(len, connection._unread)) < 2**20


async def test_a_reader_that_waits_stops_the_server_and_gets_all() -> None:
    async with serving(OK + b"content-length: %d\r\n\r\n" % len(BIG) + BIG) as server, opened() as connections:
        response = await begin(connections, server.url)
        await stopped(response)
        assert server.sent < len(BIG)
        assert (await finish(response))[2] == BIG


# ---------------------------------------------------------------- time
@contextmanager
def deaf() -> Iterator[int]:
    """A port at which connections are never taken: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        try:
            yield port
        finally:
            for one in waiting:
                one.close()


async def test_connecting_ends_at_its_limit() -> None:
    with deaf() as port:
        sockets = _sockets()
        async with opened() as connections:
            request = httpx.Request("GET", f"http://127.0.0.1:{port}/", extensions={"timeout": {"connect": 0.05}})
            with anyio.fail_after(PATIENCE), pytest.raises(httpx.ConnectTimeout):
                await connections.handle_async_request(request)
        await settled(sockets)


class Moving(float):
    """A limit of reads that is another one each time, as `agentkit.http` has it."""

    limits: list[float]

    @classmethod
    def of(cls, *limits: float) -> Moving:
        moving = cls(limits[0])
        moving.limits = list(limits)
        return moving

    def __radd__(self, now: float) -> float:
        return now + (self.limits.pop(0) if len(self.limits) > 1 else self.limits[0])


@pytest.mark.parametrize("limits", [(0.05,), (2 * PATIENCE, 0.05), (2 * PATIENCE, 2 * PATIENCE, 0.05)])
async def test_a_wait_ends_at_its_limit_and_leaves_no_timer(limits: tuple[float, ...]) -> None:
    late: tuple[Part, ...] = (HI[:2], 0.05, HI[2:-1])[: 2 * len(limits) - 2 or None] if limits[1:] else ()
    async with serving(*late, math.inf) as server, opened() as connections:
        with anyio.fail_after(PATIENCE), pytest.raises(httpx.ReadTimeout):
            await finish(await begin(connections, server.url, read=Moving.of(*limits)))
        assert not timers("_ring")


async def test_a_limit_that_grows_holds_from_then_on_and_a_reply_leaves_no_timer() -> None:
    slow: tuple[Part, ...] = (HI[:2], 0.7, HI[2:-1], 0.7, HI[-1:])
    async with serving(*slow) as server, opened() as connections:
        assert (await ask(connections, server.url, read=Moving.of(1.0, PATIENCE)))[2] == b"hi"
        assert not timers("_ring")
        server.reply = (HI[:9], 0.01, HI[9:])
        response = await begin(connections, server.url, read=math.inf)
        assert not timers("_ring")
        assert (await finish(response))[2] == b"hi"


async def test_the_limit_binds_a_reader_who_never_waits_until_the_reply_is_here() -> None:
    async with serving(CHUNKED + b"2\r\nhi\r\n", math.inf) as server, opened() as connections:
        response = await begin(connections, server.url, read=Moving.of(PATIENCE, 0.0))
        assert isinstance(response.stream, ours._Body)
        with pytest.raises(httpx.ReadTimeout):
            await anext(response.stream)
        await response.aclose()
        server.reply = (HI,)
        assert (await ask(connections, server.url, read=Moving.of(PATIENCE, 0.0)))[2] == b"hi"
        assert not timers("_ring")


# ---------------------------------------------------------------- addresses
def resolving(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def port_of(url: str) -> int:
    return httpx.URL(url).port or 0


async def test_a_deaf_address_delays_the_next_only_by_its_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(HI) as server, opened() as connections:
        with deaf() as port:
            sockets = _sockets()
            resolving(monkeypatch, port, port_of(server.url))
            assert (await ask(connections, "http://somewhere/"))[2] == b"hi"
            await settled(sockets + 2)


async def test_of_two_addresses_that_answer_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, both, started = asyncio.get_running_loop(), anyio.Event(), list[Any]()
    connect = loop.sock_connect

    async def together(opened: socket.socket, address: Any) -> None:
        started.append(address)
        if len(started) == 2:
            both.set()
        await both.wait()
        await connect(opened, address)

    async with serving(HI) as one, serving(HI) as other, opened() as connections:
        sockets = _sockets()
        monkeypatch.setattr(loop, "sock_connect", together)
        monkeypatch.setattr(ours, "_HEAD_START", 0.01)
        resolving(monkeypatch, port_of(one.url), port_of(other.url))
        assert (await ask(connections, "http://somewhere/"))[2] == b"hi"
        await settled(sockets + 2)


async def test_when_all_addresses_refuse_the_first_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as other:
        taken.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        resolving(monkeypatch, taken.getsockname()[1], other.getsockname()[1])
        async with opened() as connections:
            with pytest.raises(httpx.ConnectError, match=str(taken.getsockname()[1])):
                await ask(connections, "http://somewhere/")


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", "127.0.0.1:99999"])
async def test_an_address_there_cannot_be_is_a_connect_error(host: str) -> None:
    async with opened() as connections:
        with pytest.raises(httpx.ConnectError):
            await ask(connections, f"http://{host}/")


async def test_no_socket_to_be_had_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as connections:
        resolving(monkeypatch, 1)
        monkeypatch.setattr(socket, "socket", lambda *_: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        with pytest.raises(httpx.ConnectError, match="Too many"):
            await ask(connections, "http://somewhere/")


async def test_ipv6_is_reached() -> None:
    async with await anyio.create_tcp_listener(local_host="::1") as listener, opened() as connections:
        port = listener.extra(SocketAttribute.local_port)
        async with serving(HI) as server, anyio.create_task_group() as group:
            group.start_soon(listener.serve, server.talk)
            assert (await ask(connections, f"http://[::1]:{port}/"))[2] == b"hi"
            assert f"host: [::1]:{port}".encode() in server.requests[0].lower()
            group.cancel_scope.cancel()


# ---------------------------------------------------------------- TLS
@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server at 127.0.0.1, and of a client that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem + secret)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def test_tls_is_spoken_reused_and_stopped_as_plain_connections_are(contexts: Contexts) -> None:
    secret, trust = contexts
    large = OK + b"content-length: %d\r\n\r\n" % len(BIG) + BIG
    async with serving(large, secret=secret) as server, opened(lambda: trust) as connections:
        for _ in range(2):
            response = await begin(connections, server.url)
            await stopped(response)
            assert (await finish(response))[2] == BIG
        assert len(set(server.ports)) == 1


async def test_a_certificate_that_is_not_trusted_is_a_connect_error(contexts: Contexts) -> None:
    async with serving(HI, secret=contexts[0]) as server, opened() as connections:
        sockets = _sockets()
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await ask(connections, server.url)
        assert server.requests == []
        await settled(sockets)


async def test_a_certificate_of_another_name_is_a_connect_error(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, trust = contexts
    async with serving(HI, secret=secret) as server, opened(lambda: trust) as connections:
        assert (await ask(connections, server.url))[2] == b"hi"
        resolving(monkeypatch, port_of(server.url))
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            await ask(connections, "https://somewhere/")
        assert len(server.requests) == 1


async def test_a_trust_store_that_is_not_there_is_a_connect_error() -> None:
    async with opened(lambda: ssl.create_default_context(cafile="/nowhere")) as connections:
        with pytest.raises(httpx.ConnectError, match="No such file"):
            await ask(connections, "https://127.0.0.1/")


# ---------------------------------------------------------------- cancellation
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("how", ["asyncio", "anyio"])
async def test_cancelled_at_any_await_nothing_is_left(contexts: Contexts, how: str, secure: bool) -> None:
    secret, trust = contexts
    async with serving(HI[:9], 0.001, HI[9:-1], 0.001, HI[-1:], secret=secret if secure else None) as server:
        async with opened(
            lambda: trust
        ) as connections:  # so the server has begun: the sockets and tasks it needs are there
            await ask(connections, server.url)
        await until(lambda: server.open == 0)
        sockets, tasks = _sockets(), len(asyncio.all_tasks())
        for at in count(1):
            connections = Connections(lambda: trust)
            with Awaits(at) as awaits:
                async with anyio.create_task_group() as group:
                    if how == "anyio":
                        awaits.cancel = group.cancel_scope.cancel
                        group.start_soon(ask, connections, server.url)
                    else:
                        task = asyncio.create_task(ask(connections, server.url))
                        awaits.cancel = task.cancel
                        with suppress(asyncio.CancelledError):
                            await task
            await connections.aclose()
            await settled(sockets, at)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            assert not timers("_ring", "ssl")
            if awaits.left > 0:
                break
        assert at > 6, "it was hardly ever cancelled"
