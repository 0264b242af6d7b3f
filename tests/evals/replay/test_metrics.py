"""The routing metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from agentkit.evals.replay.metrics import (
    aiq,
    arena_score,
    cost_of_pass,
    elasticity,
    knapsack,
    strong_share,
)


def test_aiq_by_paper_and_by_code() -> None:
    paper, code = aiq([(1.0, 0.5), (3.0, 0.9)], 1.0, 4.0)
    area = 2 * 0.7 + 1 * 0.9
    assert [paper, code] == pytest.approx([area / 3, area / 4])
    assert aiq([(4.0, 0.6)], 1.0, 4.0) == (0.6, 0.6)
    assert aiq([(1.0, 0.0)], 1.0, 4.0) == (0.0, 0.0)


def test_the_share_of_strong_calls() -> None:
    straight = strong_share([0.5], [0.7], weak=0.6, strong=0.8)
    assert straight.apgr == pytest.approx(0.5)
    assert straight.cpt == {20: pytest.approx(0.2), 50: pytest.approx(0.5), 80: pytest.approx(0.8)}
    good = strong_share([0.25, 0.5], [0.75, 0.8], weak=0.6, strong=0.8)
    assert good.apgr == pytest.approx((0.25 * 0.75 + 0.25 * 1.75 + 0.5 * 2.0) / 2)
    assert good.cpt[50] == pytest.approx(0.25 * 0.5 / 0.75)
    with pytest.raises(ValueError, match="no gap"):
        strong_share([0.5], [0.7], weak=0.8, strong=0.8)


def test_the_arena_score() -> None:
    assert arena_score(1.0, 0.0044 / 1000) == pytest.approx(1.0)
    assert arena_score(0.7, 200 / 1000) == 0.0
    halfway = math.sqrt(200 * 0.0044) / 1000
    assert arena_score(0.6, halfway) == pytest.approx(1.1 * 0.6 * 0.5 / (0.1 * 0.6 + 0.5))


@pytest.mark.parametrize(
    ("quality", "cost", "value", "quadrant"),
    [
        (0.6, 2.0, 0.2, "better/dearer"),
        (0.6, 0.5, -0.4, "better/cheaper"),
        (0.4, 0.5, 0.4, "worse/cheaper"),
        (0.4, 2.0, -0.2, "worse/dearer"),
        (0.6, 1.0, None, "better/cheaper"),
        (0.5, 1.0, None, "equal"),
    ],
)
def test_elasticity_with_its_quadrant(quality: float, cost: float, value: float | None, quadrant: str) -> None:
    found = elasticity(quality, cost, 0.5, 1.0)
    assert found.quadrant == quadrant
    assert found.value == (value if value is None else pytest.approx(value))


def test_the_cost_of_a_right_answer() -> None:
    assert cost_of_pass(0.01, 0.5) == 0.02
    assert cost_of_pass(0.01, 0.0) == math.inf


def test_the_knapsack_takes_by_density_until_the_money_is_spent() -> None:
    gains, costs = np.array([[0.5, 1.0], [0.9, np.nan]]), np.array([[1.0, 3.0], [1.0, np.nan]])
    assert knapsack(gains, costs, 1.0) == pytest.approx(0.9)
    assert knapsack(gains, costs, 2.0) == pytest.approx(1.4)
    assert knapsack(gains, costs, 3.0) == pytest.approx(1.4 + 0.25)  # half of the step from 0.5 to 1.0
    assert knapsack(gains, costs, 99.0) == pytest.approx(1.9)
    assert knapsack(np.array([[0.4, 1.0]]), np.array([[0.0, 1.0]]), 0.0) == pytest.approx(0.4)
