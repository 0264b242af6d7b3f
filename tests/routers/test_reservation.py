"""The reservation value against the dynamic program over every subset of the pool."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.routers.reservation import Likelihoods, beliefs, ranked, reservation

Box = tuple[float, Likelihoods, float]


def shares(draw: st.DrawFn, size: int) -> list[float]:
    parts = draw(st.lists(st.integers(1, 20), min_size=size, max_size=size))
    return [part / sum(parts) for part in parts]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    size = draw(st.integers(1, 3))
    likelihoods = ranked(list(zip(shares(draw, size), shares(draw, size), strict=True)))
    return draw(st.floats(0.01, 0.99)), likelihoods, draw(st.floats(0.0, 0.6))


def best(pool: Sequence[Box], in_hand: float) -> float:
    """The value of optimal play, by trying everything."""
    value = in_hand
    for place, (p, likelihoods, price) in enumerate(pool):
        rest = [*pool[:place], *pool[place + 1 :]]
        after = sum(chance * best(rest, max(in_hand, belief)) for chance, belief in beliefs(p, likelihoods))
        value = max(value, after - price)
    return value


def by_index(pool: Sequence[Box], in_hand: float) -> float:
    """The value of calling by falling reservation value until the belief in hand is as high."""
    if not pool:
        return in_hand
    place = max(range(len(pool)), key=lambda at: reservation(*pool[at]))
    p, likelihoods, price = pool[place]
    if reservation(p, likelihoods, price) <= in_hand:
        return in_hand
    rest = [*pool[:place], *pool[place + 1 :]]
    return sum(chance * by_index(rest, max(in_hand, b)) for chance, b in beliefs(p, likelihoods)) - price


@given(pool=st.lists(boxes(), max_size=4), in_hand=st.floats(0.0, 0.9))
def test_the_index_is_as_good_as_the_dynamic_program(pool: list[Box], in_hand: float) -> None:
    assert by_index(pool, in_hand) == pytest.approx(best(pool, in_hand), abs=1e-9)


@given(box=boxes())
def test_beliefs_average_to_the_prior(box: Box) -> None:
    p, likelihoods, _ = box
    assert sum(chance * belief for chance, belief in beliefs(p, likelihoods)) == pytest.approx(p)


def test_values_by_hand() -> None:
    tells_all = [(1.0, 0.0), (0.0, 1.0)]
    assert reservation(0.5, tells_all, 0.0) == pytest.approx(1.0, abs=1e-9)
    assert reservation(0.5, tells_all, 0.25) == pytest.approx(0.5, abs=1e-9)  # 0.5·(1 − σ) = 0.25
    assert reservation(0.5, [(1.0, 1.0)], 0.25) == pytest.approx(0.25, abs=1e-9)  # evidence that says nothing
    assert reservation(0.5, tells_all, 0.75) == pytest.approx(-0.25)
