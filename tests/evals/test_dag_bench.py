"""The dag bench: its shapes, its bounds, and what a small run shows."""

from itertools import permutations
from random import Random

import pytest

from agentkit.evals.benches import Options
from agentkit.evals.benches.dag import Makespan, run
from agentkit.evals.benches.dag_optimum import optimum
from agentkit.evals.benches.dag_shapes import KINDS, Shape, best_found, chain, draw_shape, fan


@pytest.mark.parametrize("kind", KINDS)
def test_a_shape_is_the_same_for_a_seed_and_needs_what_comes_before(kind: str) -> None:
    for seed in range(5):
        shape = draw_shape(kind, seed)
        assert shape == draw_shape(kind, seed) != draw_shape(kind, seed + 100)
        assert all(need < place for place, needs in enumerate(shape.needs) for need in needs)
        assert 0 < shape.critical_path <= shape.work
        assert len(shape.plan(None).steps) == len(shape.needs)


def test_bounds_of_a_schedule() -> None:
    wide = Shape("fan", fan(4), [1.0] * 5)
    assert (wide.work, wide.critical_path) == (5.0, 2.0)
    assert best_found(wide, 2, tries=1) == 3.0 and best_found(wide, 4, tries=1) == 2.0
    found = Makespan(wide, 2, 3.0)
    assert found.ratio == pytest.approx(1.2) and found.of_bound == pytest.approx(3 / 3.5)
    assert not found.missed  # there is no better one
    assert Makespan(Shape("fan", fan(4), [1.0, 1.0, 1.0, 1.0, 0.0]), 2, 3.0).missed
    long = Shape("chain", chain(3), [1.0, 2.0, 3.0])
    assert long.critical_path == long.work == best_found(long, 8, tries=1) == 6.0


def _shortest(shape: Shape, places: int) -> float:
    """The least makespan over every order, each step as early as it can in it."""
    least = shape.work
    for order in permutations(range(len(shape.needs))):
        ends: dict[int, float] = {}
        free = [0.0] * places
        for step in order:
            if any(need not in ends for need in shape.needs[step]):
                break
            begin = max(min(free), max((ends[need] for need in shape.needs[step]), default=0.0))
            free[free.index(min(free))] = ends[step] = begin + shape.seconds[step]
        else:
            least = min(least, max(free))
    return least


@pytest.mark.parametrize("places", [1, 2, 3])
def test_the_shortest_schedule_is_that_of_the_best_order(places: int) -> None:
    draw = Random(places)
    for _ in range(25):
        needs = [draw.sample(range(place), min(place, draw.randint(0, 2))) for place in range(6)]
        shape = Shape("small", needs, [float(draw.randint(1, 5)) for _ in needs])
        assert optimum(shape, places, shape.work) == pytest.approx(_shortest(shape, places))


def test_without_branches_enough_nothing_is_proven() -> None:
    shape = Shape("fan", fan(6), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5])
    assert optimum(shape, 2, shape.work) == pytest.approx(11.5)
    assert optimum(shape, 2, shape.work, nodes=1) is None


def test_a_small_run_has_the_keys_that_are_promised() -> None:
    result = run(Options(quick=True, install=False))
    for key in ("chain50_ratio", "fanout1000_ratio", "chain50_noop_ratio", "makespan_ratio", "speedup_ratio"):
        assert result.metrics[key] > 0
    assert 1 - 1e-9 <= result.metrics["makespan_ratio"] <= result.metrics["makespan_max_ratio"]
    assert result.metrics["list_bound_max_ratio"] <= 1 + 1e-9
    assert result.metrics["chain_makespan_ratio"] == pytest.approx(1)
    assert 1 - 1e-9 <= result.metrics["makespan_over_optimum_ratio"] <= result.metrics["makespan_ratio"]
    assert result.metrics["streamed_plan_speedup_ratio"] > 1
    assert 0 <= result.metrics["makespan_missed_share"] <= 1 - result.metrics["makespan_within_1_05_share"]
