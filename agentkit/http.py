"""HTTP for model calls: the one module that names httpx.

Every fault leaves as a `BackendError`. Nothing is retried here: whether a call is made again is the router's
decision, and each attempt has a hold of its own. An `Endpoint` may be shared by tasks and outlives event loops; it
has one client in each.
"""

from __future__ import annotations

import codecs
import json
import re
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Literal

import anyio
import httpx
from anyio.lowlevel import RunVar

from agentkit.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    BadResponse,
    ConfigError,
    ContentRefused,
    ContextOverflow,
    RateLimited,
    Unreachable,
)
from agentkit.types import ModelCard

Transport = httpx.AsyncBaseTransport
"""The seam for tests and for callers that bring their own connections."""

Phase = Literal["first_token", "between_chunks", "total"]

_OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_OVERFLOW_TEXT = re.compile(r"context (?:length|window|size)\D{0,40}(?P<window>\d+)?", re.I)
_PROMPT_TOKENS = re.compile(r"(?:resulted in|requested|prompt (?:has|is)|contains)\D{0,20}(\d+)", re.I)
_REFUSAL_CODES = {"content_filter", "content_policy_violation", "moderation_blocked"}
_NO_CREDIT_CODES = {"insufficient_quota", "billing_hard_limit_reached", "insufficient_credits"}
_TRANSIENT_STATUS = {408, 409, 425}
_ADVICE = {401: "check the API key", 403: "check the API key's rights", 404: "check the model and the base URL"}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds; none can be passed by more than the time to close a socket.

    `first_token` runs from the start of a stream to its first event, `between_chunks` from one event to the
    next (comments do not count), `total` over the whole attempt, streamed or not.
    """

    connect: float = 10.0
    first_token: float = 120.0
    between_chunks: float = 60.0
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    data: str
    event: str = "message"


class SseParser:
    """Turns the bytes of a server-sent event stream into events, however the bytes are split.

    Follows the WHATWG rules: CR, LF and CRLF end lines, comments and unknown fields are skipped, an event
    that no blank line ends is not an event.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line = ""
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events they complete."""
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if self._after_cr and text[0] == "\n":  # the second half of a CRLF that the chunks split
            text = text[1:]
            self._after_cr = False
        if text:
            self._after_cr = text[-1] == "\r"
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> ServerEvent | None:
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                self._data.append(value)
            elif field == "event":
                self._event = value
            return None
        event = ServerEvent("\n".join(self._data), self._event or "message") if self._data else None
        self._data, self._event = [], ""
        return event


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
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"base_url must start with http:// or https://, not {base_url!r}")
        self._card, self._base_url, self._headers = card, base_url, dict(headers or {})
        self._timeouts, self._transport = timeouts or Timeouts(), transport
        self._client: RunVar[httpx.AsyncClient | None] = RunVar("client", None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send `body` and return the JSON of the answer."""
        clock = _Clock(self._card.name, self._timeouts)
        response = await self._send(clock, "total", path, body)
        try:
            with clock.limit("total"):
                content = await response.aread()
        finally:
            await _release(response)
        return read_json(self._card, content)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[ServerEvent, None]:
        """Send `body` and yield the server-sent events of the answer; closing it closes the connection."""
        clock = _Clock(self._card.name, self._timeouts)
        response = await self._send(clock, "first_token", path, body)
        try:
            self._expect_event_stream(response)
            parser, chunks = SseParser(), response.aiter_bytes()
            phase: Phase = "first_token"
            while True:
                with clock.limit(phase):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                for event in parser.feed(chunk):
                    phase = "between_chunks"
                    yield event
                    clock.mark()
        finally:
            await _release(response)

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        if client := self._client.get():
            self._client.set(None)
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        client = self._client.get()
        if client is None:
            client = httpx.AsyncClient(
                base_url=self._base_url,
                headers=self._headers,
                timeout=httpx.Timeout(None, connect=self._timeouts.connect),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
                verify=_trust(),
                transport=self._transport,
            )
            self._client.set(client)
        return client

    async def _send(self, clock: _Clock, phase: Phase, path: str, body: Mapping[str, Any]) -> httpx.Response:
        client = self._open()
        try:
            content = json.dumps(body, default=dict, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:  # NaN, lone surrogates, a schema that is not JSON
            raise BadRequest(self._card.name, f"the request cannot be written as JSON: {error}") from error
        request = client.build_request("POST", path, content=content, headers={"content-type": "application/json"})
        with clock.limit(phase):
            response = await client.send(request, stream=True)
        if response.is_success:
            return response
        reason = b""
        try:
            with suppress(BackendError), clock.limit(phase):  # the status says more than a broken body
                reason = await response.aread()
        finally:
            await _release(response)
        raise provider_error(self._card, response.status_code, _json_or_text(reason), response.headers)

    def _expect_event_stream(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "none")
        if not content_type.startswith("text/event-stream"):
            detail = f"asked for an event stream, got content type {content_type}; check the base URL"
            raise BadResponse(self._card.name, detail)


class _Clock:
    """The time limits of one attempt, and the translation of what goes wrong within them."""

    def __init__(self, model: str, timeouts: Timeouts) -> None:
        self._model, self._timeouts = model, timeouts
        self._start = self._last = anyio.current_time()

    def mark(self) -> None:
        """Start the next phase now."""
        self._last = anyio.current_time()

    @contextmanager
    def limit(self, phase: Phase) -> Iterator[None]:
        """Bound the block by `phase`, counted from the last mark, and by what is left of the total."""
        seconds, total = getattr(self._timeouts, phase), self._timeouts.total
        deadline = self._last + seconds
        if self._start + total <= deadline:
            deadline, phase, seconds = self._start + total, "total", total
        try:
            with anyio.CancelScope(deadline=deadline) as scope:
                yield
        except httpx.ConnectTimeout as error:
            raise BackendTimeout(self._model, "connect", self._timeouts.connect) from error
        except httpx.ConnectError as error:
            detail = f"cannot be reached: {error}; check the base URL, and that the server runs"
            raise Unreachable(self._model, detail) from error
        except httpx.DecodingError as error:
            raise BadResponse(self._model, f"the body cannot be decompressed: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailable(self._model, f"the connection failed: {reason}; try again") from error
        if scope.cancelled_caught:
            raise BackendTimeout(self._model, phase, seconds)


def read_json(card: ModelCard, text: str | bytes) -> Any:
    """Return the value of a JSON text; raises BadResponse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadResponse(card.name, f"the answer is not JSON ({error}): {text[:200]!r}") from error


def provider_error(
    card: ModelCard, status: int, body: object, headers: Mapping[str, str] | None = None
) -> BackendError:
    """Return the error that a provider's status and error body mean, also for errors inside a stream.

    `body` is the JSON value or the text. A prompt whose size the provider does not tell counts as one token
    more than the window. Exhausted credit is a `BadRequest`, though it comes as 429: waiting does not help.
    """
    code, message = _error_fields(body)
    detail = f"{message or 'no reason given'} (HTTP {status}{f', {code}' if code else ''})"
    overflow = _OVERFLOW_TEXT.search(message)
    if code in _OVERFLOW_CODES or (overflow and status in (400, 413, 422)):
        window = int((overflow and overflow["window"]) or card.context_window)
        told = _PROMPT_TOKENS.search(message)
        return ContextOverflow(card.name, int(told[1]) if told else window + 1, window)
    if code in _REFUSAL_CODES:
        return ContentRefused(card.name, detail)
    if code in _NO_CREDIT_CODES or status == 402:
        return BadRequest(card.name, f"{detail}; add credit")
    if status == 429 or code == "rate_limit_exceeded":
        return RateLimited(card.name, detail, retry_after=retry_after(headers or {}))
    if status >= 500 or status in _TRANSIENT_STATUS:
        return BackendUnavailable(card.name, f"{detail}; try again")
    return BadRequest(card.name, f"{detail}; {_ADVICE.get(status, 'change the request')}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause a response asks for in seconds; nonsense and dates that are past count as silence."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text, re.ASCII):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


def _error_fields(body: object) -> tuple[str, str]:
    """Return code and message of the error shapes in use: {"error": {…}}, {"error": "…"}, {"message": "…"}."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "", str(error)[:500]
    code = error.get("code") or error.get("type") or ""
    message = error.get("message") or error.get("detail") or ""
    return str(code), str(message)[:500]


def _json_or_text(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


async def _release(response: httpx.Response) -> None:
    with anyio.move_on_after(1, shield=True):  # cancellation must not leak the connection, nor closing hang
        await response.aclose()


@cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # tens of milliseconds, so once
