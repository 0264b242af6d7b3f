"""What a provider's headers say about the pause it wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.http import retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 1.5 ", 1.5)]
    + [
        (text, None) for text in ("", "-1", "nan", "inf", "1e9", "1_0", "9" * 400, "٣", "soon", "Fri, 99 Nov 2026")
    ],
)
def test_seconds_are_read_and_nonsense_is_silence(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


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
