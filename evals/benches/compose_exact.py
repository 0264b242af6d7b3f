"""The solvers against brute force, their distance from an upper bound, and what 10,000 components take."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean, median

import numpy as np

from agentkit.catalog import Catalog, Component, Skill
from agentkit.composer import CoverageComposer
from agentkit.composer.masks import undercut
from agentkit.composer.shelf import Shelf, shelves
from agentkit.costs import Cost
from agentkit.evals.baselines.composers import Greedy
from agentkit.evals.benches.compose_worlds import World

MANY = 10_000


def small_cases(count: int, *, sure: bool) -> dict[str, float]:
    """Return how many of `count` drawn catalogs the composer solves as well as trying every subset of each.

    Up to 9 tools and agents, 3 models of which exactly one is chosen, tools that work with some of them, dollars
    and tokens limited; coverage certain (`sure`) or in probabilities.
    """
    equal = worst = 0.0
    for seed in range(count):
        catalog, available = _drawn(random.Random(seed), sure=sure)
        found, best = CoverageComposer().compose(catalog, available).value, brute_force(catalog, available)
        equal += abs(found - best) < 1e-9
        worst = max(worst, best - found)
    kind = "certain" if sure else "noisy"
    return {
        f"exact_{kind}_cases": count,
        f"exact_{kind}_equal_to_brute_force": equal,
        f"exact_{kind}_worst_shortfall": worst,
    }


def brute_force(catalog: Catalog, available: dict[str, int]) -> float:
    """Return the value of the best of all subsets beside each model."""
    return max(_best_subset(shelf) for shelf in shelves(catalog, available))


def gaps(worlds: Sequence[World], budget: int) -> dict[str, float]:
    """Return how far below an upper bound the choices by prior beliefs are, as a share of the bound."""
    exact: list[float] = []
    greedy: list[float] = []
    for world in worlds:
        chosen = CoverageComposer().compose(world.catalog, {"usd": budget})
        bound = chosen.bound or 0.0
        if bound > 0:
            exact.append(1 - chosen.value / bound)
            greedy.append(1 - Greedy().compose(world.catalog, {"usd": budget}).value / bound)
    return {
        "noisy_gap_mean": fmean(exact),
        "noisy_gap_max": max(exact),
        "noisy_optimal_share": fmean(gap < 1e-9 for gap in exact),
        "noisy_greedy_gap_mean": fmean(greedy),
        "noisy_greedy_gap_max": max(greedy),
    }


def scale(repeats: int, seed: int = 620_001) -> dict[str, float]:
    """Return what choosing among 10,000 components of six skills takes, and one NumPy pass over the same table."""
    draw = random.Random(seed)
    skills = tuple(Skill(f"s{place}", draw.randint(1, 3)) for place in range(6))
    components = tuple(
        Component(f"c{n}", "tool", Cost(usd=draw.randint(1, 800)), 0.0, covers=_some(draw)) for n in range(MANY)
    )
    catalog = Catalog(components, skills)
    table = np.array([c.covers for c in components])
    weights = np.array([skill.weight for skill in skills])
    offers = shelves(catalog, {"usd": 400})[0].offers
    kept = undercut(offers)
    pruned = Catalog(tuple(offers[place].component for place, _ in kept), skills)
    return {
        "components_count": MANY,
        "pruned_count": len(kept),
        "prune_ms": _milliseconds(lambda: undercut(offers), repeats),
        "solve_ms": (solve := _milliseconds(lambda: CoverageComposer().compose(pruned, {"usd": 400}), repeats)),
        "solve_all_ms": _milliseconds(lambda: CoverageComposer().compose(catalog, {"usd": 400}), repeats),
        "numpy_pass_ms": (floor := _milliseconds(lambda: (table * weights).sum(axis=1).argmax(), repeats)),
        "solve_over_numpy_pass_ratio": solve / floor,
        "pruned_equals_whole": float(
            CoverageComposer().compose(pruned, {"usd": 400}).value
            == CoverageComposer().compose(catalog, {"usd": 400}).value
        ),
    }


def _milliseconds(work: object, repeats: int) -> float:
    assert callable(work)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1_000)
    return median(times)


def _some(draw: random.Random) -> tuple[float, ...]:
    return tuple(float(draw.random() < 0.25) for _ in range(6))


def _drawn(draw: random.Random, *, sure: bool) -> tuple[Catalog, dict[str, int]]:
    count = draw.randint(1, 4)
    skills = tuple(Skill(f"s{place}", draw.randint(1, 3)) for place in range(count))
    names = [f"m{n}" for n in range(draw.randint(0, 3))]
    models = [Component(name, "model", _price(draw), draw.choice((0.5, 0.75, 1.0))) for name in names]
    others = [
        Component(
            f"c{n}",
            draw.choice(("tool", "agent")),
            _price(draw),
            0.0,
            covers=tuple(float(draw.random() < 0.4) * (1 if sure else draw.random()) for _ in skills),
            works_with=frozenset(draw.sample(names, draw.randint(1, len(names))))
            if names and n % 3 == 0
            else None,
        )
        for n in range(draw.randint(1, 9))
    ]
    available = {"usd": draw.randint(0, 40)} | ({"tokens": draw.randint(0, 40)} if draw.random() < 0.5 else {})
    return Catalog((*models, *others), skills), available


def _price(draw: random.Random) -> Cost:
    return Cost(usd=draw.randint(0, 12), tokens=draw.randint(0, 12))


def _best_subset(shelf: Shelf) -> float:
    places = range(len(shelf.offers))
    return max(
        shelf.value(subset)
        for size in range(len(shelf.offers) + 1)
        for subset in combinations(places, size)
        if all(part <= max(whole, 0) for part, whole in zip(shelf.price(subset), shelf.room, strict=True))
    )
