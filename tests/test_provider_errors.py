"""What a provider's status, body and headers mean, in the words of every dialect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import (
    BackendError,
    BackendUnavailable,
    BadRequest,
    ContentRefused,
    ContextOverflow,
    Overloaded,
    RateLimited,
)
from agentkit.provider_errors import provider_error, retry_after
from agentkit.types import ModelCard

CARD = ModelCard("m", "openai", "m", context_window=4_096)


def openai(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "param": None, **fields}}


def anthropic(kind: str, message: str = "") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def gemini(code: int, status: str, message: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}
QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{}]}
GEMINI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
OUT_OF_CREDIT = "Your credit balance is too low to access the Anthropic API."

# status, body, kind; where the status is None the error came inside a stream
KINDS: dict[str, tuple[int | None, object, type[BackendError]]] = {
    "openai rate": (429, openai("slow", type="requests", code="rate_limit_exceeded"), RateLimited),
    "openai slow down": (503, openai("slow", code="slow_down"), RateLimited),
    "openai overloaded": (503, openai("busy", code="server_is_overloaded"), Overloaded),
    "openai overloaded in words": (503, openai("That model is currently overloaded."), Overloaded),
    "openai quota": (429, openai("You exceeded your current quota", code="insufficient_quota"), BadRequest),
    "openai quota by type": (429, openai("no", type="insufficient_quota", code=None), BadRequest),
    "openai spend limit": (429, openai("You have reached your spend limit."), BadRequest),
    "openai policy": (
        400,
        openai("Invalid prompt: your prompt was flagged", code="invalid_prompt"),
        ContentRefused,
    ),
    "openai server": (500, openai("sorry", type="server_error"), BackendUnavailable),
    "openai key": (401, openai("no such key", code="invalid_api_key"), BadRequest),
    "openai in a stream": (None, openai("sorry", type="server_error"), BackendUnavailable),
    "openrouter in a stream": (None, openai("busy", code=529), Overloaded),
    "openrouter moderation": (403, openai("Input was flagged", code=403), ContentRefused),
    "deepseek balance": (402, openai("Insufficient Balance", code="invalid_request_error"), BadRequest),
    "azure filter": (400, openai("The prompt triggered content management policy."), ContentRefused),
    "anthropic rate": (429, anthropic("rate_limit_error"), RateLimited),
    "anthropic overloaded": (529, anthropic("overloaded_error", "Overloaded"), Overloaded),
    "anthropic overloaded in a stream": (None, anthropic("overloaded_error", "Overloaded"), Overloaded),
    "anthropic error in a stream": (None, anthropic("api_error"), BackendUnavailable),
    "anthropic rate in a stream": (None, anthropic("rate_limit_error"), RateLimited),
    "anthropic key in a stream": (None, anthropic("authentication_error"), BadRequest),
    "anthropic credit": (400, anthropic("invalid_request_error", OUT_OF_CREDIT), BadRequest),
    "anthropic time-out": (504, anthropic("timeout_error"), BackendUnavailable),
    "gemini rate": (429, gemini(429, "RESOURCE_EXHAUSTED", GEMINI_QUOTA, QUOTA, RETRY_INFO), RateLimited),
    "gemini overloaded": (503, gemini(503, "UNAVAILABLE", "The model is overloaded."), Overloaded),
    "gemini in a stream": (None, gemini(500, "INTERNAL"), BackendUnavailable),
    "gemini in a list": (429, [gemini(429, "RESOURCE_EXHAUSTED")], RateLimited),
    "gemini key": (400, gemini(400, "INVALID_ARGUMENT", "API key not valid."), BadRequest),
    "fastapi": (422, {"detail": "no such field"}, BadRequest),
    "text": (502, "<html>bad gateway</html>", BackendUnavailable),
    "conflict": (409, "", BackendUnavailable),
    "nothing": (None, None, BackendUnavailable),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_went_wrong(name: str) -> None:
    status, body, kind = KINDS[name]
    error = provider_error(CARD, status, body)
    assert type(error) is kind
    assert error.kind == kind.kind


# message, tokens of the prompt, window
OVERFLOWS: dict[str, tuple[int, object, int, int]] = {
    "openai": (
        400,
        openai(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            code="context_length_exceeded",
        ),
        9_001,
        8_192,
    ),
    "openai responses": (
        400,
        openai("Your input exceeds the context window of this model.", code="context_length_exceeded"),
        4_097,
        4_096,
    ),
    "anthropic": (
        400,
        anthropic("invalid_request_error", "prompt is too long: 203456 tokens > 200000 maximum"),
        203_456,
        200_000,
    ),
    "anthropic with the cap": (
        400,
        anthropic(
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
        ),
        210_000,
        200_000,
    ),
    "anthropic in bytes": (413, anthropic("request_too_large", "Request exceeds the maximum size"), 4_097, 4_096),
    "gemini": (
        400,
        gemini(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        1_100_000,
        1_048_576,
    ),
    "mistral": (
        400,
        {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
        40_000,
        32_768,
    ),
    "llama.cpp": (
        400,
        openai("the request exceeds the available context size", type="exceed_context_size_error", code=400),
        4_097,
        4_096,
    ),
    "more than a minute's tokens": (
        429,
        openai(
            "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
            "Requested 40000.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        40_000,
        30_000,
    ),
}


@pytest.mark.parametrize("name", OVERFLOWS)
def test_a_prompt_that_is_too_long(name: str) -> None:
    status, body, tokens, window = OVERFLOWS[name]
    error = provider_error(CARD, status, body)
    assert isinstance(error, ContextOverflow)
    assert (error.tokens, error.window) == (tokens, window)


def test_a_limit_of_a_minute_is_no_overflow_though_it_speaks_of_the_context_window() -> None:
    error = provider_error(CARD, 429, openai("Rate limit reached for requests with a long context window."))
    assert isinstance(error, RateLimited)


def test_the_text_says_what_the_provider_said_and_what_to_do() -> None:
    assert str(provider_error(CARD, 401, openai("bad key", type="invalid_request_error"))) == (
        "model 'm': bad key (HTTP 401, invalid_request_error); check the API key"
    )
    assert "slow (HTTP 429, RESOURCE_EXHAUSTED)" in str(
        provider_error(CARD, 429, [gemini(429, "RESOURCE_EXHAUSTED", "slow")])
    )
    assert "(HTTP 503, UNAVAILABLE)" in str(provider_error(CARD, 503, gemini(503, "UNAVAILABLE", "busy")))


# ---------------------------------------------------------------- the pause
@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 1.5 ", 1.5)]
    + [
        (text, None) for text in ("", "-1", "nan", "inf", "1e9", "1_0", "9" * 400, "٣", "soon", "Fri, 99 Nov 2026")
    ],
)
def test_seconds_are_read_and_nonsense_is_silence(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "-1", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "soon", "x-ms-retry-after-ms": "-1"}, None),
    ],
)
def test_milliseconds_come_first_unless_they_are_nonsense(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("30s", 30.0), ("1.337s", 1.337), ("0s", 0.0), ("-1s", None), ("soon", None), (30, None), (None, None)],
)
def test_geminis_pause_is_in_the_body(delay: Any, seconds: float | None) -> None:
    body = gemini(429, "RESOURCE_EXHAUSTED", "slow", QUOTA, {**RETRY_INFO, "retryDelay": delay})
    for form in (body, [body]):
        assert provider_error(CARD, 429, form).retry_after == seconds
    assert retry_after({"retry-after": "2"}, body) == 2.0


def test_every_failure_carries_its_pause() -> None:
    for status in (429, 500, 503, 529):
        assert provider_error(CARD, status, "", {"retry-after": "4"}).retry_after == 4.0
        assert provider_error(CARD, status, "").retry_after is None


@pytest.mark.parametrize("naive", [False, True])
def test_a_date_is_a_pause_until_then(naive: bool) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after({"retry-after": date.replace("GMT", "-0000") if naive else date})
    assert seconds is not None
    assert 80 < seconds <= 90


def test_a_date_that_is_past_is_silence() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None


@given(st.text())
def test_any_text_gives_a_pause_or_silence(text: str) -> None:
    seconds = retry_after({"retry-after": text})
    assert seconds is None or 0 <= seconds < 1e12


JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from("error code type status message details retryDelay".split()), inner)
    ),
    max_leaves=10,
)


@given(st.none() | st.integers(400, 599), JSON)
def test_any_body_means_some_error(status: int | None, body: Any) -> None:
    error = provider_error(CARD, status, {"error": body})
    assert isinstance(error, BackendError) and error.detail
