"""What a knob gives at a spend, and when a gain on the best single model is certain."""

import numpy as np
import pytest

from agentkit.routers.estimators.curve import mix, over_best
from agentkit.routers.estimators.hull import Frontier, Trail


def test_a_spend_between_two_settings_is_a_draw_between_them() -> None:
    curve = [(0.0, 4.0, 0.9), (1.0, 2.0, 0.6), (2.0, 1.0, 0.5)]  # the middle one lies below the line
    assert mix(curve, 2.5) == pytest.approx((0.0, 2.0, 0.5))
    assert mix(curve, 9.0) == (0.0, 0.0, 1.0)
    assert mix(curve, 0.5) == (2.0, 2.0, 1.0)


def test_where_nothing_costs_anything_it_is_the_best_setting() -> None:
    assert mix([(0.0, 0.0, 0.4), (1.0, 0.0, 0.9)], 0.0) == (1.0, 1.0, 1.0)


def settings(draw: np.random.Generator, queries: int, gain: float) -> tuple[Frontier, Trail]:
    """Thirty settings at one price beside a single model that is right on half of the queries."""
    score, cost = (draw.random((queries, 2)) < 0.5).astype(float), np.ones((queries, 2))
    score[:, 1] = 0.0
    trail = Trail(np.ones((30, queries)), (draw.random((30, queries)) < 0.5 + gain).astype(float))
    return Frontier.of(score, cost), trail


def test_the_luckiest_of_many_settings_is_not_a_certain_gain() -> None:
    certain = lucky = 0
    for seed in range(40):
        frontier, trail = settings(np.random.default_rng(seed), 400, gain=0.0)
        certain += over_best(frontier, trail)[0] > 0
        gains = trail.score[trail.score.mean(axis=1).argmax()] - frontier.score[:, 0]
        lucky += gains.mean() - 1.96 * gains.std() / 20 > 0
    assert certain <= 3 < 10 <= lucky


def test_a_gain_that_is_there_is_found() -> None:
    low, high = over_best(*settings(np.random.default_rng(0), 2_000, gain=0.15))
    assert 0.08 < low < high < 0.22


def test_few_queries_are_never_certain_of_a_little() -> None:
    right = np.ones((100, 1))
    right[:3] = 0.0
    always = Trail(np.ones((1, 100)), np.ones((1, 100)))
    low, high = over_best(Frontier.of(right, np.ones((100, 1))), always)
    assert low < 0 < high  # three of a hundred won, none lost
    many = Trail(np.ones((1, 2_000)), np.ones((1, 2_000)))
    assert over_best(Frontier.of(np.tile(right, (20, 1)), np.ones((2_000, 1))), many)[0] > 0
