"""The circuit breaker: when it opens, whom it lets through, and how it closes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.breaker import Breaker


def fail(breaker: Breaker, times: int, now: float = 0.0) -> float:
    """Fail that many calls; returns the last cool-down."""
    return [breaker.end(False, probe=breaker.begin(now), now=now) for _ in range(times)][-1]


def test_it_opens_at_the_share_of_enough_calls() -> None:
    breaker = Breaker(share=0.5, least_calls=4)
    for _ in range(3):
        breaker.end(True, probe=False, now=0)
    assert fail(breaker, 2) == 0 and breaker.state(0) == "closed"  # 2 of 5
    assert fail(breaker, 1) == breaker.cool_down  # 3 of 6
    assert breaker.state(0) == "open" and breaker.wait(0) == breaker.cool_down


def test_few_failures_and_old_ones_do_not_open_it() -> None:
    breaker = Breaker(least_calls=3, window=10)
    assert fail(breaker, 2, now=0) == 0
    assert fail(breaker, 2, now=10.5) == 0
    assert fail(breaker, 1, now=10.5) > 0


def test_failures_that_are_old_are_no_share_of_the_calls_since() -> None:
    breaker = Breaker(least_calls=5, window=10)
    assert fail(breaker, 4, now=0) == 0
    for _ in range(4):
        breaker.end(True, probe=False, now=20)
    assert fail(breaker, 1, now=20) == 0  # 1 of 5


def test_one_probe_after_the_cool_down() -> None:
    breaker = Breaker(least_calls=1, cool_down=5)
    fail(breaker, 1)
    assert breaker.wait(4) == 1 and breaker.state(5) == "half_open" and breaker.wait(5) == 0
    probe = breaker.begin(5)
    assert probe and breaker.wait(5) == math.inf
    assert breaker.end(True, probe=probe, now=6) == 0
    assert breaker.state(6) == "closed" and breaker.wait(6) == 0


def test_a_probe_that_fails_doubles_the_cool_down_up_to_the_longest() -> None:
    breaker = Breaker(least_calls=1, cool_down=5, longest_cool_down=15)
    now, cool_downs = 0.0, []
    for _ in range(4):
        cool_downs.append(fail(breaker, 1, now))
        now += cool_downs[-1]
    assert cool_downs == [5, 10, 15, 15]
    breaker.end(True, probe=breaker.begin(now), now=now)
    assert fail(breaker, 1, now) == 5  # a success makes it forget


def test_a_probe_that_is_cancelled_leaves_the_place_to_another() -> None:
    breaker = Breaker(least_calls=1, cool_down=5)
    fail(breaker, 1)
    assert breaker.begin(5)
    breaker.abandon()
    assert breaker.wait(5) == 0 and breaker.begin(5)


def test_calls_from_before_it_opened_say_nothing() -> None:
    breaker = Breaker(least_calls=1, cool_down=5)
    fail(breaker, 1)
    assert breaker.end(False, probe=False, now=4) == 0 and breaker.wait(4) == 1
    breaker.end(True, probe=False, now=4)
    assert breaker.state(4) == "open"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 4)), max_size=60))
def test_it_always_lets_somebody_through_in_the_end(calls: list[tuple[bool, float]]) -> None:
    breaker, now = Breaker(least_calls=2, window=5, cool_down=1, longest_cool_down=8), 0.0
    for ok, pause in calls:
        now += pause
        wait = breaker.wait(now)
        assert 0 <= wait <= breaker.longest_cool_down + 1e-9  # one caller: no probe is ever under way here
        now += wait
        assert breaker.wait(now) == 0
        breaker.end(ok, probe=breaker.begin(now), now=now)


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.1}, {"least_calls": 0}, {"cool_down": 0}])
def test_a_breaker_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share is above 0"):
        Breaker(**wrong)  # type: ignore[arg-type]
