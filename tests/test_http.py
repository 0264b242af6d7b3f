"""What a model call sends, and by which way: directly, or through a proxy of the environment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from httpx._utils import URLPattern, get_environment_proxies

from agentkit import http
from agentkit.connections import Connections
from agentkit.errors import BackendError, BadRequest, ConfigError, Unreachable
from agentkit.http import Endpoint, _transport_to, _trust
from agentkit.types import ModelCard
from tests.loopback import OK, Server, serving

pytestmark = pytest.mark.anyio
CARD = ModelCard("test", "openai", "test-model")
EMPTY = OK + b"content-length: 2\r\n\r\n{}"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def endpoint(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[Endpoint]:
    opened = Endpoint(CARD, url, headers=headers)
    try:
        yield opened
    finally:
        await opened.aclose()


def sent(server: Server) -> tuple[str, dict[str, str]]:
    line, *headers = server.requests[-1].decode().split("\r\n")
    return line, {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}


async def test_a_call_says_what_httpx_says() -> None:
    body = {"model": "m", "text": "ü"}
    content = json.dumps(body, ensure_ascii=False).encode()
    async with serving(EMPTY) as server:
        async with endpoint(server.url, {"authorization": "Bearer key", "Accept": "text/x"}) as ours:
            assert await ours.post("/chat", body) == {}
        line, headers = sent(server)
        async with httpx.AsyncClient(headers={"authorization": "Bearer key", "Accept": "text/x"}) as theirs:
            reply = await theirs.post(
                f"{server.url}/chat", content=content, headers={"content-type": "application/json"}
            )
            assert reply.json() == {}
        expected_line, expected = sent(server)
    assert line == expected_line == "POST /v1/chat HTTP/1.1"
    assert expected.pop("connection") == "keep-alive"  # which HTTP/1.1 is anyway
    assert headers == {**expected, "user-agent": "agentkit"}
    assert headers["content-length"] == str(len(content))


async def test_a_header_that_cannot_be_sent_is_a_bad_request() -> None:
    async with serving(EMPTY) as server, endpoint(server.url, {"authorization": "Bearer key\n"}) as ours:
        with pytest.raises(BadRequest, match="cannot be sent") as caught:
            await ours.post("/chat", {})
    assert "key" not in str(caught.value)


def test_credentials_in_an_address_are_refused_and_not_told() -> None:
    with pytest.raises(ConfigError, match="credentials") as caught:
        Endpoint(CARD, "https://user:secret@example.com/v1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "http://example.com:abc/v1",
        "http://[::1/v1",
        "http://[1]2/v1",
        "http://xn--/v1",
        "http://\udcff/v1",
        "http://example.com/v1\n",
        "http:///v1",
        "http://:80/v1",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        Endpoint(CARD, url)


def test_a_key_that_no_header_can_carry_is_refused_and_not_told() -> None:
    with pytest.raises(ConfigError, match="authorization") as caught:
        Endpoint(CARD, "https://example.com/v1", headers={"authorization": "Bearer s\u00fccret"})
    assert "cret" not in str(caught.value) and caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("model", ["a\nb", "\udcff"])
async def test_a_path_that_cannot_be_sent_is_a_bad_request(model: str) -> None:
    async with endpoint("http://127.0.0.1:9/v1") as ours:
        with pytest.raises(BadRequest, match="cannot be sent"):
            await ours.post(f"/{model}:generate", {})


# ---------------------------------------------------------------- proxies
@pytest.mark.parametrize("written", ["http://{}", "{}"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_gets_the_whole_address(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    async with serving(EMPTY) as proxy:
        place = proxy.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv(variable.lower(), written.format(place))
        async with endpoint("http://models.example:8000/v1") as ours:
            assert await ours.post("/chat", {}) == {}
        line, headers = sent(proxy)
        assert line == "POST http://models.example:8000/v1/chat HTTP/1.1"
        assert headers["host"] == "models.example:8000"
        async with serving(EMPTY) as server:
            monkeypatch.setenv("NO_PROXY", "models.example, 127.0.0.1")
            async with endpoint(server.url) as ours:
                assert await ours.post("/chat", {}) == {}
            assert sent(server)[0] == "POST /v1/chat HTTP/1.1"
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    "proxy", ["gopher://user:secret@x", "http://user:secret@x:port", "socks5://user:secret@x"]
)
async def test_by_a_proxy_that_cannot_be_used_nothing_is_reached(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with endpoint("https://models.example/v1") as ours:
        with pytest.raises(Unreachable, match="proxy in the environment") as caught:
            await ours.post("/chat", {})
    assert "secret" not in str(caught.value) and not caught.value.may_be_billed


async def test_a_proxy_that_refuses_and_certificates_that_are_not_there_behind_one_reach_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with serving(refusal) as proxy, endpoint("https://models.example/v1") as ours:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/v1"))
        with pytest.raises(Unreachable, match="407 Proxy Authentication Required; check the proxy"):
            await ours.post("/chat", {})
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    _trust.cache_clear()
    async with endpoint("https://models.example/v1") as ours:
        with pytest.raises(Unreachable, match="certificates cannot be read"):
            await ours.post("/chat", {})
    _trust.cache_clear()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(http, "_MOST_CONTENT", 2 << 20)
    head = b"HTTP/1.1 %d X\r\ntransfer-encoding: chunked\r\n\r\n" % status
    async with serving(head, *[b"10000\r\n" + b" " * 0x10000 + b"\r\n"] * 300) as server:
        async with endpoint(server.url) as ours:
            with pytest.raises(BackendError) as caught, anyio.fail_after(60):
                await ours.post("/chat", {})
    assert ("larger than 2 MB" in str(caught.value)) is (status == 200)
    assert len(str(caught.value)) < 1_000


def _httpx_goes_directly(url: str) -> bool:
    """By the proxies of the environment as httpx's client has them: the first pattern that matches, by rank."""
    proxies = {URLPattern(pattern): proxy for pattern, proxy in get_environment_proxies().items()}
    return next((proxies[pattern] for pattern in sorted(proxies) if pattern.matches(httpx.URL(url))), None) is None


HOSTS = ["example.com", "api.example.com", "notexample.com", "127.0.0.1", "localhost", "[::1]", "[2001:db8::1]"]
EXCEPTIONS = [
    *(
        "",
        " ",
        "*",
        "example.com",
        ".example.com",
        "EXAMPLE.com",
        "com",
        "api.example.com",
        "127.0.0.1",
        "localhost",
    ),
    *(
        "::1",
        "2001:db8::1",
        "example.com:8000",
        ".example.com:8000",
        "127.0.0.0/8",
        "https://example.com",
    ),
    *("http://api.example.com:8000", "example", "all://localhost", "example, *", "x.y,, localhost ,::1"),
]


@pytest.mark.parametrize("exceptions", EXCEPTIONS)
@pytest.mark.parametrize("variable", VARIABLES[:3])
def test_a_call_goes_through_a_proxy_when_httpx_would(
    monkeypatch: pytest.MonkeyPatch, variable: str, exceptions: str
) -> None:
    monkeypatch.setenv(variable, "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    for scheme, host, port in product(["http", "https"], HOSTS, ["", ":8000"]):
        url = f"{scheme}://{host}{port}/v1"
        assert isinstance(_transport_to(url), Connections) == _httpx_goes_directly(url), url


@pytest.mark.parametrize(
    ("url", "proxy", "told"),
    [
        ("http://127.0.0.1:9/v1", None, "check the base URL http://127.0.0.1:9/v1"),
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:9", "check the proxy in the environment, or name the host"),
    ],
)
async def test_who_cannot_be_reached_is_told_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None, told: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(Unreachable, match=told):
        await Endpoint(ModelCard("m", "openai", "m"), url).post("x", {})


async def test_tls_where_none_is_spoken_and_certificates_that_are_not_there_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def plain(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, plain)
        url = f"https://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/v1"
        with pytest.raises(Unreachable, match="does not seem to speak TLS; try http://"):
            await Endpoint(ModelCard("m", "openai", "m"), url).post("x", {})
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        _trust.cache_clear()
        with pytest.raises(Unreachable, match="certificates cannot be read .*SSL_CERT_FILE"):
            await Endpoint(ModelCard("m", "openai", "m"), url).post("x", {})
        group.cancel_scope.cancel()
    _trust.cache_clear()
