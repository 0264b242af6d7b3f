"""The field's routing metrics, exact; each says whose it is. Costs are dollars per query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentkit.routers.estimators.hull import Point, height, upper_hull

Quadrant = Literal["better/cheaper", "better/dearer", "worse/cheaper", "worse/dearer", "equal"]


def aiq(points: Sequence[Point], low: float, high: float) -> tuple[float, float]:
    """Return the average improvement in quality as RouterBench's paper and as its code define it (arXiv
    2403.12031).

    Both integrate the rising convex hull of a router's own points from its first point, level up to `high`, the
    largest cost among the routers compared. The paper divides by high − low, the code by high.
    """
    hull = [vertex for vertex in upper_hull(points) if vertex[1] > 0]
    if not hull:
        return 0.0, 0.0
    start = max(hull[0][0], 0.0)
    if high <= start:
        return height(hull, high), height(hull, high)
    costs = [start, *(cost for cost, _ in hull if start < cost < high), high]
    area = float(np.trapezoid([height(hull, cost) for cost in costs], costs))
    return area / (high - low) if high > low else height(hull, high), area / high


@dataclass(frozen=True, slots=True)
class StrongShare:
    """How a two-model router does by its share of calls to the strong model (RouteLLM, arXiv 2406.18665).

    `apgr` is the area of the performance gap recovered over the share of strong calls, `cpt` the least share that
    recovers 20, 50 and 80 % of the gap; None when it never does.
    """

    apgr: float
    cpt: dict[int, float | None]


def strong_share(shares: Sequence[float], scores: Sequence[float], weak: float, strong: float) -> StrongShare:
    """Measure points (share of strong calls, mean score); weak alone and strong alone complete them.

    Raises ValueError when there is no gap to recover.
    """
    if strong <= weak:
        raise ValueError(
            f"the strong model scores {strong:.4f}, the weak one {weak:.4f}: there is no gap to recover"
        )
    recovered = {0.0: 0.0, 1.0: 1.0}
    for share, score in zip(shares, scores, strict=True):
        if 0 < share < 1:
            recovered[share] = max((score - weak) / (strong - weak), recovered.get(share, -math.inf))
    x = np.array(sorted(recovered))
    y = np.array([recovered[share] for share in x])
    return StrongShare(float(np.trapezoid(y, x)), {goal: _first_reach(x, y, goal / 100) for goal in (20, 50, 80)})


def _first_reach(x: np.ndarray, y: np.ndarray, goal: float) -> float | None:
    """Return where the polygon first reaches `goal`."""
    for place in range(1, len(x)):
        if y[place] >= goal:
            rise = y[place] - y[place - 1]
            share = 1.0 if rise <= 0 else (goal - y[place - 1]) / rise
            return float(x[place - 1] + share * (x[place] - x[place - 1]))
    return None


def arena_score(quality: float, cost: float, *, beta: float = 0.1) -> float:
    """Return RouterArena's score S = (1 + β)·A·C / (β·A + C) (arXiv 2510.00202).

    C = (log₂ 200 − log₂ c) / (log₂ 200 − log₂ 0.0044) with c the dollars per 1,000 queries, kept within 0..1.
    """
    scale = math.log2(200) - math.log2(0.0044)
    cheapness = (math.log2(200) - math.log2(max(cost * 1_000, 1e-12))) / scale
    cheapness = min(max(cheapness, 0.0), 1.0)
    below = beta * quality + cheapness
    return (1 + beta) * quality * cheapness / below if below > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Elasticity:
    """Token elasticity of performance against a base, with the two changes it is made of and their quadrant."""

    value: float | None
    quality_change: float
    cost_change: float
    quadrant: Quadrant


def elasticity(quality: float, cost: float, base_quality: float, base_cost: float) -> Elasticity:
    """Return TEP = (ΔQ/Q) / (ΔC/C) over a base (EllieSQL, arXiv 2503.22402), in dollars instead of tokens.

    It is positive both for better at more cost and for worse at less, hence the quadrant; undefined, None, at
    equal cost or an all-wrong base. Never average it.
    """
    quality_change = (quality - base_quality) / base_quality if base_quality else 0.0
    cost_change = (cost - base_cost) / base_cost if base_cost else 0.0
    value = quality_change / cost_change if cost_change and base_quality else None
    if not quality_change and not cost_change:
        return Elasticity(value, quality_change, cost_change, "equal")
    better, cheaper = quality_change >= 0, cost_change <= 0
    named: dict[tuple[bool, bool], Quadrant] = {
        (True, True): "better/cheaper",
        (True, False): "better/dearer",
        (False, True): "worse/cheaper",
        (False, False): "worse/dearer",
    }
    return Elasticity(value, quality_change, cost_change, named[better, cheaper])


def cost_of_pass(cost: float, quality: float) -> float:
    """Return the expected dollars for one correct answer, C/R over all queries (arXiv 2504.13359), else ∞."""
    return cost / quality if quality > 0 else math.inf


def knapsack(gains: np.ndarray, costs: np.ndarray, budget: float) -> float:
    """Return the most total gain for `budget`, the bound that no order of decisions can beat.

    `gains` and `costs` are (queries, options), NaN where an option does not exist; each query takes one option or
    none. It is the linear relaxation of the multiple-choice knapsack: each query's upper hull, cut into segments,
    taken by falling slope until the money is spent (exact but for a share of one query).
    """
    segments, total = [], 0.0
    for gain, cost in zip(gains, costs, strict=True):
        real = ~np.isnan(gain)
        hull = upper_hull(list(zip(cost[real].tolist(), gain[real].tolist(), strict=True)))
        total += hull[0][1]
        segments += [(b[1] - a[1], b[0] - a[0]) for a, b in zip(hull, hull[1:], strict=False)]
    left = budget
    for gain, cost in sorted(
        segments, key=lambda part: part[0] / part[1] if part[1] > 0 else math.inf, reverse=True
    ):
        share = 1.0 if cost <= left else left / cost
        total, left = total + share * gain, left - share * cost
        if share < 1:
            break
    return total
