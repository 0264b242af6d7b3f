"""Rate limits, concurrency and latencies: the arithmetic of what may leave."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.concurrency import Concurrency
from agentkit.backends.latency import MEMORY, Latencies
from agentkit.backends.limits import RateLimits, TokenBucket


# ---------------------------------------------------------------- rate limits
@given(
    rate=st.floats(1, 1_000),
    asks=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 2_000)), max_size=40),
)
def test_no_stretch_of_time_takes_more_than_a_full_bucket_its_refill_and_a_call(
    rate: float, asks: list[tuple[float, float]]
) -> None:
    bucket, now, taken = TokenBucket(rate), 0.0, list[tuple[float, float]]()
    for pause, amount in asks:
        now += pause
        now += bucket.wait(amount, now)
        assert bucket.wait(amount, now) == pytest.approx(0, abs=1e-6)  # having waited, it may leave
        bucket.take(amount, now)
        taken.append((now, amount))
    for i, (start, _) in enumerate(taken):
        for j in range(i, len(taken)):
            most = bucket.most + rate * (taken[j][0] - start) / 60 + taken[j][1]
            assert sum(amount for _, amount in taken[i : j + 1]) <= most * (1 + 1e-6) + 1e-6


def test_what_was_not_used_comes_back_and_what_was_used_on_top_is_owed() -> None:
    limits = RateLimits(tokens_per_minute=600)
    limits.take(100, 0)
    assert limits.wait(60, 0) == 6
    limits.correct(100, 40, 0)
    assert limits.wait(60, 0) == 0
    limits.correct(0, 120, 0)
    assert limits.wait(60, 0) == 12


def test_both_limits_hold_and_none_means_none() -> None:
    limits = RateLimits(requests_per_minute=60, tokens_per_minute=6_000)
    limits.take(500, 0)
    assert limits.wait(500, 0) == 0 and limits.wait(600, 0) == 1
    for _ in range(9):
        limits.take(0, 0)
    assert limits.wait(1, 0) == 1
    assert RateLimits().wait(10**9, 0) == 0


def test_a_call_larger_than_the_bucket_leaves_when_it_is_full_and_the_next_one_waits_for_it() -> None:
    bucket = TokenBucket(60)
    assert bucket.wait(100, 0) == 0
    bucket.take(100, 0)
    assert bucket.wait(1, 0) == 91 and bucket.wait(100, 0) == 100


def test_a_small_rate_lets_a_first_call_through() -> None:
    bucket = TokenBucket(2)
    assert bucket.wait(1, 0) == 0
    bucket.take(1, 0)
    assert bucket.wait(1, 0) == 30


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = TokenBucket(60)
    bucket.take(10, 100)
    assert bucket.wait(1, 50) == 1 and bucket.wait(1, 50) == 1


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_is_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(rate)


# ---------------------------------------------------------------- concurrency
def test_there_is_no_window_until_a_call_is_turned_away() -> None:
    concurrency = Concurrency()
    generations = [concurrency.begin() for _ in range(10)]
    assert concurrency.free
    assert concurrency.end(generations[0], refused=True) == 6  # six: 0.7 of the nine others
    assert [concurrency.end(g, refused=True) for g in generations[1:4]] == [None] * 3  # one cut for a window
    assert concurrency.window == 6 == concurrency.in_flight  # but it is no larger than what was not turned away


def test_a_window_of_clean_calls_adds_one() -> None:
    concurrency = Concurrency()
    first, second = concurrency.begin(), concurrency.begin()
    assert concurrency.end(first, refused=True) == 1
    concurrency.end(second, refused=None)
    for want in (2, 3, 4):
        while concurrency.window < want - 1e-9:
            generations = []
            while concurrency.free:
                generations.append(concurrency.begin())
            for generation in generations:
                concurrency.end(generation, refused=False)
    assert concurrency.window < 4.5


def test_a_call_that_was_alone_says_nothing_about_how_many_are_too_many() -> None:
    concurrency = Concurrency()
    assert concurrency.end(concurrency.begin(), refused=True) is None
    assert concurrency.window == math.inf


def test_it_does_not_grow_while_it_is_not_used() -> None:
    concurrency = Concurrency(most=8)
    for _ in range(3):  # 8 → 5.6 → 3.9 → 2.7
        generations = [concurrency.begin() for _ in range(8)]
        concurrency.end(generations[0], refused=True)
        for generation in generations[1:]:
            concurrency.end(generation, refused=None)
    before = concurrency.window
    concurrency.end(concurrency.begin(), refused=False)
    assert concurrency.window == before and concurrency.in_flight == 0


@given(st.lists(st.sampled_from(["begin", True, False, None]), max_size=80), st.integers(1, 12))
def test_the_window_stays_between_one_and_the_most(steps: list[bool | None | str], most: int) -> None:
    concurrency, generations = Concurrency(most=most), list[int]()
    for step in steps:
        if step == "begin":
            if concurrency.free:
                generations.append(concurrency.begin())
        elif generations:
            assert not isinstance(step, str)
            concurrency.end(generations.pop(), refused=step)
        assert 1 <= concurrency.window <= most
        assert concurrency.in_flight == len(generations) <= most
    if not generations:
        assert concurrency.free  # nobody waits for ever


# ---------------------------------------------------------------- latencies
@given(st.lists(st.floats(0, 100), max_size=3 * MEMORY), st.floats(0.01, 1))
def test_a_quantile_is_the_least_latency_that_the_share_did_not_pass(values: list[float], share: float) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    recent = values[-MEMORY:]
    assert len(latencies) == len(recent)
    quantile = latencies.quantile(share)
    if not recent:
        assert quantile == math.inf
        return
    assert quantile in recent
    assert sum(value <= quantile for value in recent) >= share * len(recent) - 1e-6
    assert sum(value < quantile for value in recent) <= share * len(recent) + 1e-6
