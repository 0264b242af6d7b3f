"""The web as a tool: 60 URLs that mean harm reach nothing private, and pages are read within every limit."""

from __future__ import annotations

import gzip
import ipaddress
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from agentkit.addresses import AddressRules, is_public, resolve
from agentkit.errors import AddressRefused, ConfigError, PageError, ToolError
from agentkit.messages import ToolCall
from agentkit.tools import invoke
from agentkit.tools.fetch import fetch_tool, html_text
from agentkit.web import Web
from tests.patient import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
PRIVATE_NAMES = {
    "localhost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "127.0.0.1.nip.example": "127.0.0.1",
    "metadata.internal": "169.254.169.254",
    "intranet": "10.0.0.5",
    "router.lan": "192.168.1.1",
    "v6.internal": "fd00::1",
    "mapped.internal": "::ffff:127.0.0.1",
    "zero.internal": "0.0.0.0",
    "scoped.internal": "fe80::1%eth0",
    "ⓛocalhost": "127.0.0.1",
}
HARMFUL = [
    # the loopback in every spelling
    "http://127.0.0.1/", "http://127.0.0.1:80/", "http://127.1/", "http://127.000.000.001/", "http://0177.0.0.1/",
    "http://0x7f.0.0.1/", "http://0x7f000001/", "http://2130706433/", "http://017700000001/", "http://0/",
    "http://0.0.0.0/", "http://127.255.255.254/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/",
    # networks that are not public
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/", "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/", "http://0xa9fea9fe/", "http://2852039166/", "http://[fd00:ec2::254]/",
    "http://[fc00::1]/", "http://[ff02::1]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://198.18.0.1/",
    "http://192.0.2.1/", "http://240.0.0.1/", "http://[fec0::1]/", "http://[2001:db8::1]/",
    # names
    *(f"http://{name}/" for name in PRIVATE_NAMES),
    "http://both.example/", "http://nowhere.example/",
    # schemes, ports, user names, things that parsers read differently
    "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://public.example/", "//127.0.0.1/", "http:///etc/passwd",
    "http://public.example:22/", "http://public.example:99999/", "http://public.example@127.0.0.1/",
    "http://user:word@public.example/", "http://127.0.0.1\\@public.example/", "http://public.example\t@127.0.0.1/",
    "http://public.example\r\nHost: intranet/", "http://public.example#@127.0.0.1:22/", "http://[::1",
    "http://127.0.0.1%2f.public.example/", "http://①②⑦.0.0.1/", "http://public.example%00.internal/", "http://%31%32%37.1/",
    # redirects and names that change their mind, see `Wire` and `Rebinding`
    "http://public.example/to?http://127.0.0.1/", "http://public.example/to?//169.254.169.254/",
    "http://public.example/to?http://intranet/", "http://public.example/to?file:///etc/passwd",
    "http://public.example/to?http://public.example/to?http://[::1]/", "https://public.example/to?http://public.example/",
    "http://rebinding.example/", "http://rebinding.example/to?http://rebinding.example/",
]  # fmt: skip


class Rebinding:
    """A name server of the attacker's: `rebinding.example` is public when it is asked first, then the loopback."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        count = self.asked[host] = self.asked.get(host, 0) + 1
        match host:
            case "public.example":
                return [PUBLIC]
            case "both.example":
                return [PUBLIC, "10.0.0.1"]
            case "rebinding.example":
                return [PUBLIC] if count == 1 else ["127.0.0.1"]
            case "nowhere.example":
                return []
        if host in PRIVATE_NAMES:
            return [PRIVATE_NAMES[host]]
        return await resolve(host, port) if host[0].isdigit() or ":" in host else [PUBLIC]


class Wire(httpx.AsyncBaseTransport):
    """Notes each connection; a path `/to?URL` redirects to that URL."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.seen: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.connected.append(request.url.host)
        self.seen.append(request)
        if request.url.path == "/to":
            return httpx.Response(302, headers={"location": request.url.query.decode()})

        async def body() -> AsyncIterator[bytes]:
            yield b"hello"

        return httpx.Response(200, content=body(), headers={"content-type": "text/plain"})


def test_there_are_enough() -> None:
    assert len(set(HARMFUL)) >= 60


@pytest.mark.parametrize("url", HARMFUL)
async def test_nothing_private_is_reached(url: str) -> None:
    wire = Wire()
    web = Web(AddressRules(resolver=Rebinding()), transport=wire)
    try:
        await web.get(url)
    except ToolError:
        refused = True
    else:
        refused = False
    assert all(is_public(address) for address in wire.connected)
    assert refused or set(wire.connected) == {PUBLIC}
    assert refused or url.startswith(("http://rebinding", "http://public.example#"))


async def test_the_connection_goes_to_what_was_checked() -> None:
    wire = Wire()
    resolver = Rebinding()
    page = await Web(AddressRules(resolver=resolver), {"x-key": "k"}, transport=wire).get(
        "https://rebinding.example/a?b#c"
    )
    assert (page.content, resolver.asked) == (b"hello", {"rebinding.example": 1})
    [request] = wire.seen
    assert (str(request.url), request.headers["host"]) == (f"https://{PUBLIC}/a?b", "rebinding.example")
    assert request.extensions["sni_hostname"] == "rebinding.example"
    assert request.headers["x-key"] == "k"


async def test_headers_stay_with_the_first_origin() -> None:
    wire = Wire()
    web = Web(AddressRules(resolver=Rebinding()), {"authorization": "Bearer k"}, transport=wire)
    await web.get("https://public.example/to?https://public.example/x")
    await web.get("https://public.example/to?https://other.example/x")
    assert ["authorization" in request.headers for request in wire.seen] == [True, True, True, False]


async def test_a_host_in_another_script_goes_out_in_ascii() -> None:
    wire = Wire()
    await Web(AddressRules(resolver=Rebinding()), transport=wire).get("http://bücher.example:80/")
    assert wire.seen[0].headers["host"] == "xn--bcher-kva.example:80"


async def test_what_is_public() -> None:
    for address in ("8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"):
        assert is_public(address), address
    assert not any(is_public(f"{first}.1.2.3") for first in (0, 10, 127, *range(224, 256)))
    assert is_public(str(ipaddress.ip_address("1.1.1.1")))


async def test_a_network_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"10\.1\.0\.0/16"):
        AddressRules(also=("here",))


# ---------------------------------------------------------------- a real server, on a network that is allowed
dripping: list[int] = []
"""One for each answer that is on its way and will never end."""
BOMB = gzip.compress(b"0" * 50_000_000)


async def answer(request: Request) -> Response:
    match request.path_params["what"]:
        case "page":
            return Response(
                "<head><title>T</title><script>x()</script><p>Hello <b>you</b><p>there", media_type="text/html"
            )
        case "host":
            return PlainTextResponse(request.headers["host"] + str(request.headers.get("cookie")))
        case "large":
            return PlainTextResponse("é" * 1_000_000)
        case "bomb":
            return Response(BOMB, headers={"content-encoding": "gzip"}, media_type="text/plain")
        case "packed":
            return Response(gzip.compress(b"small"), headers={"content-encoding": "gzip"}, media_type="text/plain")
        case "garbage":
            return Response(b"garbage", headers={"content-encoding": "gzip"}, media_type="text/plain")
        case "brotli":
            return Response(zlib.compress(b"x"), headers={"content-encoding": "br"}, media_type="text/plain")
        case "picture":
            return Response(b"\x89PNG", media_type="image/png")
        case "round":
            return RedirectResponse("/round")
        case "away":
            return RedirectResponse("http://169.254.169.254/")
        case "slow":

            async def drip() -> AsyncIterator[bytes]:
                dripping.append(1)
                try:
                    while True:
                        yield b"."
                        await anyio.sleep(0.05)
                finally:
                    dripping.pop()

            return StreamingResponse(drip(), media_type="text/plain")
    return PlainTextResponse("none", 404)


@asynccontextmanager
async def local_web(**options: object) -> AsyncIterator[tuple[Web, str]]:
    """A server on loopback, and a `Web` that may go there."""
    app = Starlette(routes=[Route("/{what}", answer)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    async with anyio.create_task_group() as group:
        group.start_soon(server._serve)
        while not server.started:  # noqa: ASYNC110  # it has no event
            await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        rules = AddressRules(ports=(port,), also=("127.0.0.1/32",))
        try:
            yield Web(rules, **options), f"http://localtest.example:{port}"  # type: ignore[arg-type]
        finally:
            server.should_exit = True


READS = {
    "page": "T\nHello you\nthere",
    "packed": "small",
    "large": "[cut after 5000 bytes]",
    "bomb": "[cut after 5000 bytes]",
    "garbage": "cannot be unpacked",
    "brotli": "packed as br",
    "picture": "it is no text but image/png",
    "round": "more than 5 redirects",
    "away": "port 80 is not allowed",
    "slow": "no answer within 1 s",
    "absent": "the server answered 404",
}


async def test_pages_are_read_within_every_limit() -> None:
    async with local_web(limit=5000, seconds=1.0) as (web, base):
        tool = fetch_tool(web)
        url = base.replace("localtest.example", "127.0.0.1")
        for what, expected in READS.items():
            result = await invoke(tool, ToolCall("1", "fetch", f'{{"url": "{url}/{what}"}}'))
            assert expected in result.content, what
            assert len(result.content) < 6000
            assert result.is_error == (what not in ("page", "packed", "large", "bomb"))


async def test_a_cancelled_request_leaves_no_connection() -> None:
    async with local_web() as (web, base):
        async with anyio.create_task_group() as group:
            group.start_soon(web.get, base.replace("localtest.example", "127.0.0.1") + "/slow")
            await _until(lambda: bool(dripping))
            group.cancel_scope.cancel()
        await _until(lambda: not dripping)


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not true():  # noqa: ASYNC110  # it has no event
            await anyio.sleep(0.01)


async def test_a_bomb_is_never_unpacked_as_a_whole() -> None:
    async with local_web(limit=5000) as (web, base):
        tracemalloc.start()
        page = await web.get(base.replace("localtest.example", "127.0.0.1") + "/bomb")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (len(page.content), page.is_cut) == (5000, True)
    assert peak < 5_000_000


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with local_web() as (web, base):
        url = base.replace("localtest.example", "127.0.0.1")
        assert (await web.get(f"{url}/host")).content.endswith(b"None")


async def test_the_public_rules_refuse_the_local_server() -> None:
    async with local_web() as (_, base):
        url = base.replace("localtest.example", "127.0.0.1")
        for rules in (AddressRules(), AddressRules(ports=(int(url.rpartition(":")[2]),))):
            with pytest.raises(AddressRefused):
                await Web(rules).get(url)


async def test_nobody_listens() -> None:
    with pytest.raises(PageError):
        await Web(AddressRules(ports=(1,), also=("127.0.0.1/32",))).get("http://127.0.0.1:1/")


async def test_html() -> None:
    html = "<style>p{}</style><ul><li>a</li><li>b<svg><p>x</svg></ul><p>c&amp;d</p><noscript>z</noscript>"
    assert html_text(html) == "a\nb\nc&d"
