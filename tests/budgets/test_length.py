"""Output lengths: the likely cap is passed as seldom as it says, also under drift, and needs some history."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets.forecast import MEMORY
from agentkit.budgets.length import HIGHEST, OutputLengths

KIND = ("model", False)


def learnt(lengths: list[int], quantile: float | None = 0.9) -> OutputLengths:
    made = OutputLengths(quantile)
    for length in lengths:
        made.observe(KIND, length, cut=False)
    return made


@pytest.mark.parametrize("quantile", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("drift", [1.0, 4.0])
def test_the_likely_cap_lets_through_what_it_says(quantile: float, drift: float) -> None:
    draw, made, missed = random.Random(7), OutputLengths(quantile), 0
    for turn in range(3_000):
        length = round(draw.lognormvariate(5, 1) * drift ** (turn / 3_000))
        missed += length > made.likely(KIND, 1_000_000)
        made.observe(KIND, length, cut=False)
    assert missed / 3_000 <= 1 - quantile + 0.01  # the margin brings it below


def test_without_history_or_a_quantile_the_wanted_cap_is_sent() -> None:
    assert OutputLengths(0.9).likely(KIND, 500) == 500 and OutputLengths(0.9).typical(KIND, 500) == 0
    assert learnt([10] * 8).likely(KIND, 500) == 500 and learnt([10] * 9).likely(KIND, 500) == 11
    assert learnt([10] * 50, None).likely(KIND, 500) == learnt([10] * 50, 1.0).likely(KIND, 500) == 500
    assert learnt([10] * 50).likely(("model", True), 500) == 500


@given(st.lists(st.tuples(st.integers(0, 2_000), st.booleans()), max_size=60), st.integers(1, 1_000))
def test_no_prediction_is_above_what_is_wanted(seen: list[tuple[int, bool]], wanted: int) -> None:
    made = OutputLengths(0.8)
    for length, cut in seen:
        made.observe(KIND, length, cut=cut)
    assert 0 <= made.typical(KIND, wanted) <= wanted and 0 <= made.likely(KIND, wanted) <= wanted


def test_a_reply_that_was_cut_counts_as_longer_than_any_cap() -> None:
    made = learnt([10] * 20)
    for _ in range(20):
        made.observe(KIND, 11, cut=True)
    assert made.likely(KIND, 500) == 500 == made.typical(KIND, 500)


@pytest.mark.parametrize("quantile", [0.0, 1.5, -1, float("nan")])
def test_a_quantile_that_is_none_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match=r"above 0 and not above 1, such as 0\.95"):
        OutputLengths(quantile)


def test_the_highest_quantile_is_one_that_can_be_learnt() -> None:
    assert learnt([10] * MEMORY, HIGHEST).likely(KIND, 500) == 11
    with pytest.raises(ValueError, match=r"take that, or 1"):
        OutputLengths(HIGHEST + 0.001)
