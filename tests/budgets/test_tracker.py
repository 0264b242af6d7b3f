"""The Budget Tracker says little, and says it exactly."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets import Tracker
from agentkit.costs import Cost
from agentkit.types import ScopeView

BANDS = ["CRITICAL", "LOW", "MEDIUM", "HIGH"]


def view(limits: dict[str, int], **spent: int) -> ScopeView:
    return ScopeView("run", limits, Cost(), Cost(), Cost(spent), {})


def test_the_line_is_exactly_what_models_are_trained_on() -> None:
    assert Tracker().note(view({"usd": 1000, "tokens": 10}, usd=770)) == "Budget LOW: 23% of usd left."
    assert Tracker().note(view({"tool_calls[search]": 3}, **{"tool_calls[search]": 2})) == (
        "Budget MEDIUM: 33% of tool_calls[search] left."
    )
    assert Tracker().note(view({"usd": 1000}), deadline_share=0.29) == "Budget LOW: 29% of seconds left."


@pytest.mark.parametrize(
    "left, band",
    [
        (1000, "HIGH"),
        (700, "HIGH"),
        (699, "MEDIUM"),
        (300, "MEDIUM"),
        (299, "LOW"),
        (100, "LOW"),
        (99, "CRITICAL"),
    ],
)
def test_the_edges_of_the_bands(left: int, band: str) -> None:
    tracker = Tracker()
    tracker.note(view({"usd": 1000}, usd=1000))
    note = tracker.note(view({"usd": 1000}, usd=1000 - left))
    assert note == (None if band == "CRITICAL" else f"Budget {band}: {left // 10}% of usd left.")
    assert Tracker().note(view({"usd": 10}), deadline_share=left / 1000) == (
        None if band == "HIGH" else f"Budget {band}: {left // 10}% of seconds left."
    )


def test_an_overrun_and_a_passed_deadline_leave_nothing() -> None:
    assert Tracker().note(view({"usd": 10}, usd=12)) == "Budget CRITICAL: 0% of usd left."
    assert Tracker().note(view({}), deadline_share=-0.5) == "Budget CRITICAL: 0% of seconds left."


def test_what_was_never_there_does_not_run_out() -> None:
    assert Tracker().note(view({"tool_calls": 0, "usd": 10})) is None
    assert Tracker().note(view({})) is None


@given(st.lists(st.integers(0, 100), min_size=1))
def test_it_speaks_when_the_band_changes_and_only_then(spent: list[int]) -> None:
    tracker, band = Tracker(), "HIGH"
    for amount in spent:
        left = 100 - amount
        now = BANDS[(left >= 10) + (left >= 30) + (left >= 70)]
        note = tracker.note(view({"usd": 100}, usd=amount))
        assert (note is None) == (now == band)
        assert note is None or re.fullmatch(rf"Budget {now}: {left}% of usd left\.", note)
        band = now
