"""The hull and its area against values worked out by hand, and what must hold for any points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.routers.estimators.hull import Frontier, Trail, height, mean_height, spend_for, upper_hull

POINTS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1)), min_size=1, max_size=12)


def test_the_area_by_hand() -> None:
    hull = upper_hull([(1.0, 0.5), (3.0, 0.9), (2.0, 0.6), (4.0, 0.7)])
    assert hull == [(0.0, 0.0), (1.0, 0.5), (3.0, 0.9)]  # the others lie below it
    assert mean_height(hull, 1.0, 3.0) == pytest.approx(0.7)
    assert mean_height(hull, 1.0, 4.0) == pytest.approx((2 * 0.7 + 0.9) / 3)  # level after the last vertex
    assert mean_height(hull, 2.0, 2.0) == height(hull, 2.0) == pytest.approx(0.7)
    assert spend_for(hull, 0.7) == pytest.approx(2.0)
    assert spend_for(hull, 0.95) is None


@given(POINTS)
def test_the_hull_rises_is_concave_and_covers_every_point(points: list[tuple[float, float]]) -> None:
    hull = upper_hull(points)
    steps = np.diff(np.array(hull), axis=0)
    assert (steps >= 0).all()
    slopes = [rise / run for run, rise in steps if run > 1e-9]
    assert all(after <= before + 1e-6 for before, after in zip(slopes, slopes[1:], strict=False))
    assert all(height(hull, cost) >= quality - 1e-9 for cost, quality in points)


@given(POINTS, st.tuples(st.floats(0.01, 10), st.floats(0, 1)))
def test_one_more_point_never_lowers_the_area(
    points: list[tuple[float, float]], more: tuple[float, float]
) -> None:
    low, high = 0.5, 8.0
    assert mean_height(upper_hull([*points, more]), low, high) >= mean_height(upper_hull(points), low, high) - 1e-9


def test_true_qualities_draw_the_best_trail_and_a_gain_is_certain() -> None:
    draw = np.random.default_rng(0)
    score = (draw.random((400, 2)) < 0.6).astype(float)
    cost = np.tile([0.001, 0.002], (400, 1))
    frontier = Frontier.of(score, cost)
    known, blind = frontier.trail(score), frontier.trail(np.full(score.shape, 0.6))
    assert frontier.area(known) > frontier.area(blind) + 0.1
    low, high = frontier.gain(known, blind)
    assert 0 < low < frontier.area(known) - frontier.area(blind) < high
    assert frontier.gain(known, known) == (0.0, 0.0)


def test_a_missing_pair_is_never_chosen() -> None:
    score, cost = np.array([[np.nan, 0.5], [1.0, np.nan]]), np.array([[np.nan, 1.0], [1.0, np.nan]])
    trail = Frontier.of(score, cost).trail(np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert isinstance(trail, Trail)
    np.testing.assert_array_equal(trail.score, np.tile([0.5, 1.0], (len(trail.score), 1)))
