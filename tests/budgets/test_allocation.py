"""The allocator is exact, and each method's value function is the one of its paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets.allocation import Allocation, Gain, allocate
from agentkit.budgets.allocation_plan import Schedule, uncertainty, weighted
from agentkit.budgets.allocation_samples import (
    best_of_k,
    best_of_k_after,
    break_even,
    cost_of_pass,
    rollouts,
    saturation_point,
)

CHANCES = (0.0, 0.05, 0.3, 0.5, 0.9, 1.0)
CONCAVE: dict[str, Callable[[float], Gain]] = {
    "best of k": best_of_k,
    "best of k under a ceiling": lambda x: best_of_k(x, 0.7),
    "best of k, chance unknown": lambda x: best_of_k_after(1 + 5 * x, 3),
    "weighted": lambda x: weighted([x + 0.1])[0],
}
FROM_THE_SECOND: dict[str, Callable[[float], Gain]] = {
    "rollouts": rollouts,
    "uncertainty": lambda x: uncertainty(x + 0.1, 1 + x),
}


def table(gains: Sequence[float]) -> Gain:
    return lambda unit: gains[unit - 1] if unit <= len(gains) else 0.0


def value(gains: Sequence[Gain], units: Sequence[int], least: int = 0) -> float:
    return math.fsum(
        gain(unit) for gain, count in zip(gains, units, strict=True) for unit in range(least + 1, count + 1)
    )


def splits(claimants: int, budget: int, least: int, most: int) -> Iterator[tuple[int, ...]]:
    return (units for units in product(range(least, most + 1), repeat=claimants) if sum(units) <= budget)


def check_is_best(gains: Sequence[Gain], budget: int, *, least: int = 0, most: int | None = None) -> Allocation:
    """Compare with every other split."""
    made = allocate(gains, budget, least=least, most=most)
    assert sum(made.units) + made.left == budget and made.left >= 0
    assert all(least <= count <= (budget if most is None else most) for count in made.units)
    best = max(value(gains, s, least) for s in splits(len(gains), budget, least, most or budget))
    assert value(gains, made.units, least) == pytest.approx(best, rel=1e-9, abs=1e-12)
    return made


# ---------------------------------------------------------------- the allocator
def test_it_equals_exhaustive_search_on_every_small_case() -> None:
    falling = [steps for steps in product((0, 1, 2, 4), repeat=3) if list(steps) == sorted(steps, reverse=True)]
    for curves in product(falling, repeat=2):
        for budget in range(7):
            check_is_best([table(curve) for curve in curves], budget)


@pytest.mark.parametrize("name", CONCAVE)
def test_it_is_exact_for_every_value_function(name: str) -> None:
    for chances in product(CHANCES, repeat=3):
        check_is_best([CONCAVE[name](chance) for chance in chances], 5)


@pytest.mark.parametrize("name", FROM_THE_SECOND)
def test_it_is_exact_above_one_unit_each(name: str) -> None:
    for chances in product(CHANCES, repeat=3):
        check_is_best([FROM_THE_SECOND[name](chance) for chance in chances], 7, least=1)


curves = st.lists(st.floats(0, 10), min_size=1, max_size=4).map(lambda gains: sorted(gains, reverse=True))


@given(st.lists(curves, min_size=1, max_size=4), st.integers(0, 8), st.integers(1, 4))
def test_it_is_exact_under_a_ceiling(gains: list[list[float]], budget: int, most: int) -> None:
    check_is_best([table(curve) for curve in gains], budget, most=most)


@given(st.lists(curves, min_size=1, max_size=5), st.integers(0, 12), st.floats(0, 10))
def test_it_stops_where_the_gain_falls_below_epsilon(
    gains: list[list[float]], budget: int, epsilon: float
) -> None:
    tables = [table(curve) for curve in gains]
    made = allocate(tables, budget, epsilon=epsilon)
    taken = [gain for curve, count in zip(gains, made.units, strict=True) for gain in curve[:count]]
    missed = [gain for curve, count in zip(gains, made.units, strict=True) for gain in curve[count:]]
    assert sum(made.units) + made.left == budget
    assert all(gain >= epsilon and gain > 0 for gain in taken)
    assert made.shadow_price == max(missed, default=0.0)
    if made.left:
        assert all(gain < epsilon or gain == 0 for gain in missed)


def test_the_shadow_price_is_what_one_more_unit_would_gain() -> None:
    gains = [best_of_k(0.5), best_of_k(0.2)]
    made, more = allocate(gains, 4), allocate(gains, 5)
    assert made.shadow_price == pytest.approx(value(gains, more.units) - value(gains, made.units))


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match="a budget of 5 cannot give 3 claimants 2 units each"):
        allocate([best_of_k(0.5)] * 3, 5, least=2)
    with pytest.raises(ValueError, match="3 units each, 2 at most"):
        allocate([best_of_k(0.5)], 5, least=3, most=2)
    with pytest.raises(ValueError, match="claimant 1 rises from 1 to 2 at unit 2"):
        allocate([table([0.5]), table([1, 2])], 3)
    assert allocate([], 3) == Allocation((), 3, 0.0)


# ---------------------------------------------------------------- samples
def test_best_of_k_worked_example() -> None:
    """λ = ½ and ¼, four samples: gains ½ ¼ ⅛ … and ¼ 3⁄16 9⁄64 …: ½, ¼, ¼, 3⁄16."""
    made = allocate([best_of_k(0.5), best_of_k(0.25)], 4)
    assert made.units == (2, 2)
    assert made.shadow_price == 9 / 64


@given(st.floats(0.01, 0.99), st.integers(1, 30))
def test_best_of_k_adds_up_to_the_chance_that_one_is_right(chance: float, count: int) -> None:
    assert value([best_of_k(chance, 0.8)], [count]) == pytest.approx(0.8 * (1 - (1 - chance) ** count))


def test_an_unknown_chance_is_averaged_over() -> None:
    """Under Beta(2, 3) the k-th sample gains E[p(1 − p)^(k − 1)]: 2⁄5, 1⁄5, 4⁄35."""
    gain = best_of_k_after(2, 3)
    assert [gain(k) for k in (1, 2, 3)] == pytest.approx([2 / 5, 1 / 5, 4 / 35])
    grid = [(place + 0.5) / 20_000 for place in range(20_000)]
    mean = math.fsum(12 * p * (1 - p) ** 2 * p * (1 - p) ** 6 for p in grid) / len(grid)
    assert gain(7) == pytest.approx(mean, rel=1e-6)
    assert gain(7) > best_of_k(0.4)(7)  # it may be an easy one that was unlucky, or a hard one
    with pytest.raises(ValueError, match="add a prior"):
        best_of_k_after(0, 3)


@given(st.floats(0.001, 1), st.floats(0.0001, 1), st.floats(0.1, 1))
def test_saturation_is_where_the_allocator_stops(chance: float, epsilon: float, ceiling: float) -> None:
    gain, point = best_of_k(chance, ceiling), saturation_point(chance, epsilon, ceiling)
    slack = 1 + 1e-9
    assert gain(point + 1) <= epsilon * slack
    assert point == 0 or gain(point) * slack > epsilon
    assert allocate([gain], point + 5, epsilon=epsilon * slack).units[0] <= point


def test_saturation_worked_example() -> None:
    """F = 0.8, p = 0.3, ε = 0.01: ln(0.01 / 0.24) / ln 0.7 = 8.91, so nine samples."""
    assert saturation_point(0.3, 0.01, 0.8) == 9
    with pytest.raises(ValueError, match="above 0"):
        saturation_point(0.3, 0)


def test_rollouts_worked_example() -> None:
    """Three rollouts at p = ½ disagree with 1 − ⅛ − ⅛ = ¾, worth ½·¼ = ⅛ then."""
    assert value([rollouts(0.5)], [3]) == 3 / 4 / 8
    assert rollouts(0.5)(1) == 0
    made = allocate([rollouts(chance) for chance in (0.0, 0.3, 1.0)], 30, least=1)
    assert made.units[::2] == (1, 1)  # always wrong and always right teach nothing
    with pytest.raises(ValueError, match="0..1"):
        rollouts(1.5)


def test_no_sample_is_bought_that_costs_more_than_a_pass_elsewhere() -> None:
    price, elsewhere = Decimal("0.01"), Decimal("0.10")
    made = allocate([best_of_k(0.5), best_of_k(0.05)], 20, epsilon=break_even(price, elsewhere))
    assert made.units == (3, 0)  # the fourth gains 1⁄16, so a pass would cost $0.16
    assert cost_of_pass(price, 0.05) > elsewhere > cost_of_pass(price, 0.5) == Decimal("0.02")
    assert cost_of_pass(price, 0) == Decimal("Infinity")


# ---------------------------------------------------------------- plans
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=4), st.floats(1, 3), st.integers(10, 400))
def test_bam_gives_what_the_closed_form_gives(complexity: list[float], decay: float, budget: int) -> None:
    """Equal β: b_j is in proportion to c_j^(1 / (β + 1)), but for the rounding to whole tokens."""
    made = allocate([uncertainty(c, decay) for c in complexity], budget)
    roots = [c ** (1 / (decay + 1)) for c in complexity]
    assert made.left == 0
    for units, root in zip(made.units, roots, strict=True):
        assert units >= 1
        assert abs(units - budget * root / sum(roots)) <= len(roots) or units == 1


def test_bam_worked_example() -> None:
    """c = 12, β = 1: 12/1 − 12/2, then 12/2 − 12/3; c = 12, β = 2: 12/1 − 12/4."""
    assert [uncertainty(12)(k) for k in (1, 2, 3)] == [math.inf, 6, 2]
    assert uncertainty(12, 2)(2) == 9


def test_bam_equalises_marginal_gains_when_decays_differ() -> None:
    """Moving one token between any two steps never helps."""
    gains = [uncertainty(c, decay) for c, decay in ((1, 1), (5, 1.5), (2, 3))]
    made = allocate(gains, 60, least=1)
    for giver, taker in product(range(3), repeat=2):
        if giver != taker:
            assert gains[giver](made.units[giver]) >= gains[taker](made.units[taker] + 1)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_equal_credits_get_less_later(schedule: Schedule) -> None:
    made = allocate(weighted([1, 1, 1, 1], schedule), 450)
    assert sum(made.units) == 450
    assert list(made.units) == sorted(made.units, reverse=True)
    assert (len(set(made.units)) > 2) == (schedule != "constant")
    assert allocate(weighted([3], schedule), 7).units == (7,)


def test_weights_worked_example() -> None:
    """Credits 50, 30, 20 under linear weights 3, 2, 1: 150 : 60 : 20 of 230 tokens."""
    made = allocate(weighted([50, 30, 20], "linear"), 230)
    assert made.units == pytest.approx((150, 60, 20), abs=1)
    with pytest.raises(ValueError, match="leave out"):
        weighted([1, 0])
    with pytest.raises(ValueError, match="above 0"):
        uncertainty(0)
