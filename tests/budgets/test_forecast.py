"""Forecasts are wrong as often as they say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from agentkit.budgets.forecast import MEMORY, Forecast, UpperBound

Draw = Callable[[random.Random, int], float]
STREAMS: dict[str, Draw] = {
    "log-normal": lambda rng, place: rng.lognormvariate(0, 1.5),
    "heavy tail": lambda rng, place: rng.paretovariate(1.1),
    "few values": lambda rng, place: rng.choice((1, 2, 2, 2, 3, 3, 4)),
    "a jump": lambda rng, place: rng.lognormvariate(0 if place < 300 else 2, 1),
    "a slow rise": lambda rng, place: rng.lognormvariate(place / 200, 1),
}


def missed(draw: Draw, seed: int, runs: int = 600, history: int = 100) -> tuple[float, float]:
    """Return the shares of amounts below p10 and above p90."""
    rng, forecast = random.Random(seed), Forecast()
    below = above = 0
    for place in range(runs):
        p10, p50, p90 = forecast.range(0, math.inf)
        assert p10 <= p50 <= p90
        amount = draw(rng, place)
        if place >= history:
            below, above = below + (amount < p10), above + (amount > p90)
        forecast.observe(amount, cut_short=False)
    return below / (runs - history), above / (runs - history)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("seed", range(3))
def test_four_of_five_amounts_lie_within(stream: str, seed: int) -> None:
    below, above = missed(STREAMS[stream], seed)
    assert 0.76 <= 1 - below - above <= 0.84
    assert below == pytest.approx(0.1, abs=0.04)
    assert above == pytest.approx(0.1, abs=0.04)


def test_a_short_history_has_no_range_of_its_own() -> None:
    forecast = Forecast()
    assert forecast.range(5, 100) == (5, 100, 100)
    for amount in (60, 40, 70, 30, 80, 20, 90, 25):
        forecast.observe(amount, cut_short=False)
    p10, p50, p90 = forecast.range(5, 100)
    assert (p10, p90) == (5, 100)
    assert 40 <= p50 <= 60  # the median is known before the tenths are
    forecast.observe(50, cut_short=False)
    assert forecast.range(5, 100)[::2] == (20, 90)
    assert forecast.range(5, 85)[::2] == (20, 85)


def test_less_than_the_minimum_is_believed_once_it_was_seen() -> None:
    forecast = Forecast()
    forecast.observe(3, cut_short=False)
    forecast.observe(50, cut_short=False)
    assert forecast.range(5, 100) == (3, 50, 100)


def test_what_was_cut_short_would_have_cost_more() -> None:
    forecast = Forecast()
    for amount in (10, 1, 19, 5, 15, 9, 2, 16, 11, 3, 17, 6, 14, 8, 12, 4, 18, 7, 13):
        forecast.observe(amount, cut_short=amount > 15)
    p10, p50, p90 = forecast.range(0, 1_000)
    assert (p10, p90) == (2, 1_000)
    assert 8 <= p50 <= 12


def test_old_amounts_are_forgotten() -> None:
    bound = UpperBound(0.1)
    for amount in range(MEMORY + 30):
        bound.observe(-float(amount))
    assert bound._by_size == [-float(amount) for amount in reversed(range(30, MEMORY + 30))]


def test_one_miss_of_a_rare_bound_does_not_lift_it_above_every_score() -> None:
    bound = UpperBound(0.005)
    for score in range(400):
        bound.observe(score % 100)
    assert bound.value == 99
    bound.observe(1_000)
    assert bound.value <= 1_000
    for score in range(100):
        bound.observe(score)
    assert bound.value == 99
