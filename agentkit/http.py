"""HTTP for model calls: with `connections`, the one place that names httpx.

Every fault leaves as a `BackendError`. Nothing is retried here: whether a call is made again is the router's
decision, and each attempt has a hold of its own. An `Endpoint` may be shared by tasks and outlives event loops; it
has one transport in each.
"""

from __future__ import annotations

import json
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import anyio
import httpx
from anyio.lowlevel import RunVar

from agentkit.connections import MOST_IDLE, Connections
from agentkit.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    BadResponse,
    ConfigError,
    PageError,
    Unreachable,
)
from agentkit.provider_errors import provider_error
from agentkit.proxies import proxy_before
from agentkit.redaction import excerpt
from agentkit.sse import ServerEvent, SseParser
from agentkit.types import ModelCard

if TYPE_CHECKING:
    from agentkit.addresses import Target

Transport = httpx.AsyncBaseTransport
"""The seam for callers that bring their own connections; it has to honour the read timeout of each request."""

_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "user-agent": "agentkit",
    "content-type": "application/json",
}
_ENCODER = json.JSONEncoder(default=dict, ensure_ascii=False, allow_nan=False)

_MOST_CONTENT = 64 << 20  # bytes of an answer
_MOST_REASON = 64 << 10  # bytes of a refusal, of which an error quotes less

Phase = Literal["first_token", "between_chunks", "total"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds; none can be passed by more than the time to close a socket.

    `first_token` runs from the start of a stream to its first event, `between_chunks` from one event to the
    next (comments do not count), `total` over the whole attempt, streamed or not, with what the reader of a stream
    takes, unless all of the reply is here.
    """

    connect: float = 10.0
    first_token: float = 120.0
    between_chunks: float = 60.0
    total: float = 600.0


class Endpoint:
    """A provider's base URL as seen by the model of `card`."""

    def __init__(
        self,
        card: ModelCard,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        _check_address(base_url)
        self._card, self._base_url = card, base_url
        self._headers = _headers({**_HEADERS, **(headers or {})})
        self._timeouts, self._transport = timeouts or Timeouts(), transport
        self._limits = httpx.Timeout(None, connect=self._timeouts.connect).as_dict()
        self._urls: dict[str, httpx.URL] = {}  # kept, since making one costs as much as reading a reply
        self._opened: RunVar[Transport | None] = RunVar("transport", None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send `body` and return the JSON of the answer."""
        clock = _Clock(self._card.name, self._base_url, self._timeouts, "total")
        response = await self._send(clock, "POST", path, self._encoded(body))
        return read_json(self._card, await self._whole(response, clock))

    async def get(self, path: str) -> Any:
        """Return the JSON that lies at `path`."""
        clock = _Clock(self._card.name, self._base_url, self._timeouts, "total")
        response = await self._send(clock, "GET", path)
        return read_json(self._card, await self._whole(response, clock))

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[list[ServerEvent], None]:
        """Send `body` and yield the server-sent events of the answer, those that came together in one list.

        Closing it closes the connection.
        """
        clock = _Clock(self._card.name, self._base_url, self._timeouts, "first_token")
        response = await self._send(clock, "POST", path, self._encoded(body))
        try:
            self._expect_event_stream(response)
            parser = SseParser()
            with clock.reads():
                async for chunk in _body(response):
                    if events := parser.feed(chunk):
                        yield events
                        clock.advance()
        finally:
            await _release(response)

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        if transport := self._opened.get():
            self._opened.set(None)
            await transport.aclose()

    def _open(self) -> Transport:
        """Return the transport of this event loop."""
        if (transport := self._opened.get()) is None:
            transport = self._transport or _transport_to(self._base_url)
            self._opened.set(transport)
        return transport

    def _encoded(self, body: Mapping[str, Any]) -> bytes:
        try:
            return _ENCODER.encode(body).encode()
        except (TypeError, ValueError) as error:  # NaN, lone surrogates, a schema that is not JSON
            raise BadRequest(self._card.name, f"the request cannot be written as JSON: {error}") from error

    async def _send(self, clock: _Clock, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """Make a request and return the response, whose body is still to come and which has to be released.

        httpx's client has no part in it: cookies, redirects and credentials of its own are not wanted here, and it
        costs as much as the reading of a reply.
        """
        extensions = {"timeout": {**self._limits, "read": _ReadLimit(clock)}}
        request = httpx.Request(
            method, self._url(path), headers=self._headers, content=content, extensions=extensions
        )
        with clock.limit():
            response = await self._open().handle_async_request(request)
        if response.is_success:
            return response
        reason = b""
        with suppress(BackendError), clock.limit():  # the status says more than a broken body
            reason = await self._content(response, clock, _MOST_REASON)
        raise self._refusal(response, reason)

    async def _whole(self, response: httpx.Response, clock: _Clock) -> bytes:
        content = await self._content(response, clock, _MOST_CONTENT)
        if len(content) > _MOST_CONTENT:
            detail = f"the answer is larger than {_MOST_CONTENT >> 20} MB; check the base URL"
            raise BadResponse(self._card.name, detail)
        return content

    async def _content(self, response: httpx.Response, clock: _Clock, most: int) -> bytes:
        """Return the body, of one that is larger than `most` bytes not much more than these."""
        content = bytearray()
        try:
            with clock.reads():
                async for piece in _body(response):
                    content += piece
                    if len(content) > most:
                        break
        finally:
            await _release(response)
        return bytes(content)

    def _refusal(self, response: httpx.Response, content: bytes) -> BackendError:
        body, status = _json_or_text(content), response.status_code
        return provider_error(self._card, status, body, response.headers, base_url=self._base_url)

    def _url(self, path: str) -> httpx.URL:
        if path not in self._urls:
            try:
                self._urls[path] = httpx.URL(f"{self._base_url.rstrip('/')}/{path.lstrip('/')}")
            except (httpx.InvalidURL, ValueError) as error:  # of a model's name with a line break in it, say
                raise BadRequest(self._card.name, f"the address {path!r} cannot be sent: {error}") from error
        return self._urls[path]

    def _expect_event_stream(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "none")
        if not content_type.startswith("text/event-stream"):
            detail = f"asked for an event stream, got content type {content_type}; check the base URL"
            raise BadResponse(self._card.name, detail)


def _check_address(base_url: str) -> None:
    """Raise ConfigError for what is not the address of a server."""
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"base_url must start with http:// or https://, not {base_url!r}")
    try:
        has_credentials, host = "@" in urlsplit(base_url).netloc, httpx.URL(base_url).host
    except (ValueError, httpx.InvalidURL):  # their texts may quote credentials
        raise ConfigError("base_url is not a valid address; it should be like https://example.com/v1") from None
    if has_credentials:
        raise ConfigError("base_url carries credentials, which are not sent; give them as a key or in headers")
    if not host:
        raise ConfigError(f"base_url names no host: {base_url!r}")


def _headers(headers: Mapping[str, str]) -> httpx.Headers:
    """Return `headers` as they are sent; raises ConfigError, which quotes no value, as that may be a key."""
    for name, value in headers.items():
        if not (name.isascii() and value.isascii()):
            raise ConfigError(f"the header {name!r} has characters that are not ASCII, which HTTP cannot carry")
    return httpx.Headers(headers)


class _Clock:
    """The time limits of one attempt, and the translation of what goes wrong within them.

    `deadline` is when the current phase ends, on the clock of the event loop.
    """

    def __init__(self, model: str, base_url: str, timeouts: Timeouts, phase: Phase) -> None:
        self._model, self._base_url, self._timeouts = model, base_url, timeouts
        now = anyio.current_time()
        self._end, self._advanced = now + timeouts.total, False
        self._enter(phase, now)

    def advance(self) -> None:
        """Note that an event came: the wait for another begins with the next read, whatever is done before it."""
        self._advanced = True

    def read_deadline(self, now: float) -> float:
        """Return when a read that begins `now` ends."""
        if self._advanced:
            self._advanced = False
            self._enter("between_chunks", now)
        return self.deadline

    def _enter(self, phase: Phase, now: float) -> None:
        """Let `phase` begin; it ends with the total at the latest."""
        deadline = now + getattr(self._timeouts, phase)
        self._phase: Phase = "total" if self._end <= deadline else phase
        self.deadline: float = min(deadline, self._end)

    @contextmanager
    def limit(self) -> Iterator[None]:
        """End the block at the deadline, whatever it waits for."""
        with self.reads():
            with anyio.CancelScope(deadline=self.deadline) as scope:
                yield
            if scope.cancelled_caught:
                raise self._late()

    @contextmanager
    def reads(self) -> Iterator[None]:
        """Let a block read a body, each read of which ends at the deadline by its `_ReadLimit`."""
        try:
            yield
        except httpx.ReadTimeout as error:
            raise self._late() from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._meaning(error) from error

    def _late(self) -> BackendTimeout:
        return BackendTimeout(self._model, self._phase, getattr(self._timeouts, self._phase))

    def _meaning(self, error: httpx.HTTPError | httpx.InvalidURL) -> BackendError:
        if isinstance(error, httpx.ConnectTimeout):
            return BackendTimeout(self._model, "connect", self._timeouts.connect)
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):  # nothing was sent
            return Unreachable(self._model, f"cannot be reached: {error}; {self._advice(str(error))}")
        if isinstance(error, httpx.LocalProtocolError):
            return BadRequest(self._model, f"the request cannot be sent: {error}")
        if isinstance(error, httpx.DecodingError):
            return BadResponse(self._model, f"the body cannot be decompressed: {error}")
        reason = str(error) or type(error).__name__
        return BackendUnavailable(self._model, f"the connection failed: {reason}; try again")

    def _advice(self, reason: str) -> str:
        """Return what to look at when no connection can be made."""
        if "WRONG_VERSION_NUMBER" in reason:
            return f"{self._base_url} does not seem to speak TLS; try http:// in the base URL"
        if proxy_before(self._base_url):
            return f"check the proxy in the environment, or name the host of {self._base_url} in NO_PROXY"
        return f"check the base URL {self._base_url}, and that the server runs"


class _ReadLimit(float):
    """The limit of a read in seconds, which ends at the deadline of a clock, wherever that has moved.

    A transport adds it to the time of the event loop before each read, and a right operand of a derived class has
    the first word. So the many reads of a stream need no cancel scopes, which would cost as much as parsing.
    """

    _clock: _Clock

    def __new__(cls, clock: _Clock) -> _ReadLimit:
        limit = super().__new__(cls, clock.deadline - anyio.current_time())
        limit._clock = clock
        return limit

    def __radd__(self, now: float) -> float:
        return self._clock.read_deadline(now)


def read_json(card: ModelCard, text: str | bytes) -> Any:
    """Return the value of a JSON text; raises BadResponse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadResponse(card.name, f"the answer is not JSON ({error}): {_excerpt(text)!r}") from error


def _excerpt(text: str | bytes) -> str:
    return excerpt(text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _json_or_text(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


async def _release(response: httpx.Response) -> None:
    if not response.is_closed:  # as it is once the body was read to its end
        with anyio.move_on_after(1, shield=True):  # cancellation must not leak the connection, nor closing hang
            await response.aclose()


def _body(response: httpx.Response) -> AsyncIterable[bytes]:
    """Return the bytes of a body that has not been read.

    Where nothing has to be unpacked they are taken as the transport gives them: a stream comes in hundreds of
    chunks, and httpx handles each at three more levels.
    """
    stream = response.stream
    if "content-encoding" in response.headers or not isinstance(stream, httpx.AsyncByteStream):
        return response.aiter_bytes()
    return stream


def _transport_to(base_url: str) -> Transport:
    """Return our own connections, or httpx's where the environment puts a proxy before `base_url`.

    Raises httpx.ConnectError where that cannot be: calls have holds by then, and nothing was sent.
    """
    if (proxy := proxy_before(base_url)) is None:
        return Connections(_trust)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=MOST_IDLE)
    try:
        return httpx.AsyncHTTPTransport(verify=_trust(), proxy=proxy, limits=limits)
    except (ValueError, ImportError, httpx.InvalidURL):  # their texts may quote its credentials
        what = "should be a valid address of http, https or, with the package socksio, socks5"
        raise httpx.ConnectError(f"the proxy in the environment {what}") from None
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


@cache
def _trust() -> ssl.SSLContext:
    try:
        context = httpx.create_ssl_context()  # tens of milliseconds, so once
    except OSError as error:
        raise OSError(f"certificates cannot be read ({error}); see SSL_CERT_FILE and SSL_CERT_DIR") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


# ---------------------------------------------------------------- pages, for tools
class Reply(NamedTuple):
    """What a server answered, with no more of its content than was wanted; `location` is where it redirects to."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    is_cut: bool
    location: str | None


async def ask(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
    limit: int,
    transport: Transport | None,
) -> Reply:
    """Make one request to an address of `target`, the first that takes a connection; raises PageError.

    Name and certificate are those of its host. No more than `limit` bytes of the answer are read, unpacked.
    """
    transport = transport or httpx.AsyncHTTPTransport(verify=_trust(), trust_env=False)
    try:
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=None) as client:
            for address in target.addresses:
                request = client.build_request(
                    method,
                    httpx.URL(target.url.geturl()).copy_with(host=address, port=target.port, fragment=None),
                    headers={**headers, "host": target.netloc, "accept-encoding": "gzip"},
                    content=body,
                    extensions={"sni_hostname": target.host.rstrip(".")},
                )
                try:
                    response = await client.send(request, stream=True, follow_redirects=False)
                except httpx.ConnectError:
                    if address == target.addresses[-1]:
                        raise
                    continue
                try:
                    location = response.headers["location"] if response.has_redirect_location else None
                    content, is_cut = (b"", False) if location else await _read_at_most(response, limit)
                    return Reply(response.status_code, response.headers, content, is_cut, location)
                finally:
                    await _release(response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PageError(target.url.geturl(), str(error) or type(error).__name__) from error
    raise PageError(target.url.geturl(), "it has no address")


async def _read_at_most(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Read and unpack no more than `limit` bytes, however well they are packed."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", ""):
        raise PageError(str(response.url), f"it is packed as {packing}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31) if "gzip" in packing else None
    content = bytearray()
    async for chunk in response.aiter_raw():
        room = limit + 1 - len(content)
        try:
            content += chunk[:room] if unpack is None else unpack.decompress(chunk, room)
        except zlib.error as error:
            raise PageError(str(response.url), f"it cannot be unpacked: {error}") from error
        if len(content) > limit:
            return bytes(content[:limit]), True
    return bytes(content), False
