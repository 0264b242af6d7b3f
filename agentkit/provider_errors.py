"""What a provider's error means: status, body and headers of every dialect to one `BackendError`.

The bodies in use:

    OpenAI and most others   {"error": {"code", "type", "message"}}, or the inner map alone, or text
    Anthropic                {"type": "error", "error": {"type", "message"}}
    Gemini                   {"error": {"code": 429, "status", "message", "details": […]}}, in a list when streamed
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentkit.errors import (
    BackendError,
    BackendUnavailable,
    BadRequest,
    ContentRefused,
    ContextOverflow,
    Overloaded,
    RateLimited,
)
from agentkit.redaction import excerpt
from agentkit.types import ModelCard

_STATUS_OF = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "slow_down": 429,
    "timeout_error": 504,
}
"""The status of errors that come without one, in the middle of a stream."""
_OVERFLOW_NAMES = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "request_too_large",
    "string_above_max_length",
}
_TOO_LARGE = re.compile(r"too large\D.{0,200}Limit (?P<window>\d+), Requested (?P<tokens>\d+)")
"""More than the tokens of a minute in one prompt, so that no waiting helps."""
_OVERFLOW_TEXTS = (
    re.compile(r"(?P<tokens>\d+) tokens > (?P<window>\d+) maximum"),  # Anthropic
    re.compile(r"(?P<tokens>\d+) tokens\D{1,60}(?P<window>\d+) maximum context"),  # Mistral
    re.compile(r"context limit: (?P<tokens>\d+) \+ (?P<cap>\d+) > (?P<window>\d+)"),  # Anthropic, with the cap
    re.compile(r"token count \(?(?P<tokens>\d+)\D{0,60}tokens allowed \(?(?P<window>\d+)"),  # Gemini
    _TOO_LARGE,
    re.compile(r"context (?:length|window|size)\D{0,40}(?P<window>\d+)?", re.I),  # OpenAI, vLLM, llama.cpp
)
_PROMPT_TOKENS = re.compile(r"(?:resulted in|requested|prompt (?:has|is)|contains)\D{0,20}(\d+)", re.I)
_REFUSAL_NAMES = {
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "invalid_prompt",
    "moderation_blocked",
}
_REFUSAL_TEXT = re.compile(r"flagged|content (?:management )?policy", re.I)
_NO_CREDIT_NAMES = {
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_credits",
    "insufficient_quota",
}
_NO_CREDIT_TEXT = re.compile(r"credit balance|insufficient balance|spend(?:ing)? limit", re.I)
_OVERLOAD_NAMES = {"engine_overloaded", "overloaded", "overloaded_error", "server_is_overloaded"}
_RATE_NAMES = {"rate_limit_exceeded", "slow_down"}
_TRANSIENT_STATUS = {408, 409, 425}
_ADVICE = {
    401: "check the API key",
    403: "check the API key's rights",
    404: "check the model and the base URL {base_url}",
}


def provider_error(
    card: ModelCard,
    status: int | None,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    base_url: str = "",
) -> BackendError:
    """Return the error that a provider's status and error body mean; inside a stream there is no status.

    `body` is the JSON value or the text. A prompt whose size the provider does not tell counts as one token
    more than the window. Exhausted credit is a `BadRequest`, though it comes as 429: waiting does not help.
    `base_url` is where the call went, for whoever has to look there.
    """
    names, message = _error_fields(body)
    failure = _failure(card, status or _status_of(names), names, message, base_url)
    if (pause := retry_after(headers or {}, body)) is not None:
        failure.retry_after = pause
    return failure


def retry_after(headers: Mapping[str, str], body: object = None) -> float | None:
    """Return the pause a response asks for in seconds; nonsense and dates that are past count as silence.

    Headers come first, the ones in milliseconds before the others, then Gemini's RetryInfo in the body.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := _number(headers.get(name, ""))) is not None:
            return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return _retry_info(body)
    seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


def _failure(card: ModelCard, status: int, names: tuple[str, ...], message: str, base_url: str) -> BackendError:
    named = next((f", {name}" for name in names if not name.isdigit()), "")
    detail = f"{message or 'no reason given'} (HTTP {status}{named})"
    if overflow := _overflow(card, status, names, message):
        return overflow
    if _REFUSAL_NAMES.intersection(names) or (status in (400, 403) and _REFUSAL_TEXT.search(message)):
        return ContentRefused(card.name, detail)
    out_of_credit = status in (400, 403, 429) and _NO_CREDIT_TEXT.search(message)
    if status == 402 or out_of_credit or _NO_CREDIT_NAMES.intersection(names):
        return BadRequest(card.name, f"{detail}; add credit")
    if status == 529 or _OVERLOAD_NAMES.intersection(names) or (status == 503 and "overloaded" in message):
        return Overloaded(card.name, f"{detail}; try again later")
    if status == 429 or _RATE_NAMES.intersection(names):
        return RateLimited(card.name, detail)
    if status >= 500 or status in _TRANSIENT_STATUS:
        return BackendUnavailable(card.name, f"{detail}; try again")
    advice = _ADVICE.get(status, "change the request").format(base_url=base_url)
    return BadRequest(card.name, f"{detail}; {advice.rstrip()}")


def _status_of(names: tuple[str, ...]) -> int:
    for name in names:
        if name in _STATUS_OF:
            return _STATUS_OF[name]
        if re.fullmatch(r"[45]\d\d", name, re.ASCII):
            return int(name)
    return 500


def _overflow(card: ModelCard, status: int, names: tuple[str, ...], message: str) -> ContextOverflow | None:
    """The error of a prompt that is too long, for the model or for what a minute's tokens allow at once."""
    found = next((match for text in _OVERFLOW_TEXTS if (match := text.search(message))), None)
    told_so = found and (status in (400, 413, 422) or found.re is _TOO_LARGE)
    if not told_so and not _OVERFLOW_NAMES.intersection(names):
        return None
    said = found.groupdict() if found else {}
    window = int(said.get("window") or card.context_window)
    told = _PROMPT_TOKENS.search(message)
    tokens = said.get("tokens") or (told[1] if told else window + 1)
    return ContextOverflow(card.name, int(tokens) + int(said.get("cap") or 0), window)


def _error_fields(body: object) -> tuple[tuple[str, ...], str]:
    """Return what the error is called, by code, type and status in this order, and its message."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return (), excerpt(str(error), 500)
    named = (error.get(field) for field in ("code", "type", "status"))
    message = error.get("message") or error.get("detail") or ""
    return tuple(str(name) for name in named if name), excerpt(str(message), 500)


def _retry_info(body: object) -> float | None:
    """Return the `retryDelay` of Gemini's error details, such as "30s" or "1.5s"."""
    error = (body[0] if isinstance(body, list) and body else body) or {}
    error = error.get("error") if isinstance(error, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay.removesuffix("s"))
    return None


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) else None
