"""What quality a router gives for what spend: the upper hull of its points, and the area under it.

A router with a knob draws points (mean dollars per query, mean score). Mixing two points at random gives every
point between them, and not answering costs nothing, so what can be had is the upper concave hull of the points and
the origin, level to the right of its last vertex. The hull area is its mean height between the cheapest and the
dearest single model:

    area = 1/(c_max − c_min) ∫ hull(c) dc  over [c_min, c_max]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentkit.routers.estimators.table import Floats

PENALTIES = np.concatenate([[0.0], np.logspace(-3.0, 2.0, 23)])
"""Quality given up for spending what lies between the cheapest and the dearest model: the knob of a utility."""

Point = tuple[float, float]
_BLOCK = 64  # resamples at once: bounds the memory


class Trail(NamedTuple):
    """What a router did by knob and query, both (knobs, queries): the dollars it spent, the score it got."""

    cost: Floats
    score: Floats

    @property
    def points(self) -> list[Point]:
        """Mean dollars and mean score by knob."""
        return list(zip(self.cost.mean(axis=1).tolist(), self.score.mean(axis=1).tolist(), strict=True))


def upper_hull(points: Sequence[Point]) -> list[Point]:
    """Return the vertices of the concave, rising upper hull of `points` and the origin, by rising cost."""
    hull: list[Point] = [(0.0, 0.0)]
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if quality <= hull[-1][1]:
            continue
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], (cost, quality)):
            hull.pop()
        if hull[-1][0] == cost:
            hull.pop()
        hull.append((cost, quality))
    return hull


def height(hull: Sequence[Point], cost: float) -> float:
    """Return the quality that `hull` gives at `cost` dollars per query."""
    return float(np.interp(cost, [point[0] for point in hull], [point[1] for point in hull]))


def spend_for(hull: Sequence[Point], quality: float) -> float | None:
    """Return the least spend at which `hull` gives `quality`, None when it never does."""
    if quality > hull[-1][1]:
        return None
    return float(np.interp(quality, [point[1] for point in hull], [point[0] for point in hull]))


def mean_height(hull: Sequence[Point], low: float, high: float) -> float:
    """Return the area under `hull` between two costs over their distance; its height when they are equal."""
    if high <= low:
        return height(hull, low)
    costs = [low, *(cost for cost, _ in hull if low < cost < high), high]
    qualities = [height(hull, cost) for cost in costs]
    return float(np.trapezoid(qualities, costs)) / (high - low)


@dataclass(frozen=True, slots=True)
class Frontier:
    """The stage on which routers over the same outcomes are compared; scores and costs are (queries, models).

    A pair that is NaN cannot be called. `low` and `high` are the mean costs of the cheapest and the dearest model.
    """

    score: Floats
    cost: Floats
    low: float
    high: float

    @classmethod
    def of(cls, score: Floats, cost: Floats) -> Frontier:
        """Span the costs from the cheapest to the dearest single model."""
        means = np.nan_to_num(cost).mean(axis=0)
        return cls(score, cost, float(means.min()), float(means.max()))

    @property
    def best(self) -> int:
        """The column of the best single model, the cheaper one of equals."""
        costs, scores = np.nan_to_num(self.cost).mean(axis=0), np.nan_to_num(self.score).mean(axis=0)
        return max(range(len(scores)), key=lambda model: (scores[model], -costs[model]))

    @property
    def best_single(self) -> Point:
        """Mean dollars and mean score of the best single model."""
        best = self.best
        return float(np.nan_to_num(self.cost[:, best]).mean()), float(np.nan_to_num(self.score[:, best]).mean())

    @property
    def unit(self) -> float:
        """Dollars that one unit of PENALTIES is the price of."""
        return max(self.high - self.low, self.high * 1e-6) or 1.0

    def trail(self, quality: Floats, expected: Floats | None = None) -> Trail:
        """Return what utility routing does at each of PENALTIES on predicted `quality` and `expected` dollars.

        Without `expected` each model is taken at its mean cost.
        """
        price = np.broadcast_to(np.nanmean(self.cost, axis=0), quality.shape) if expected is None else expected
        rows, callable_ = np.arange(len(quality)), ~np.isnan(self.score)
        picks = [
            np.where(callable_, quality - penalty / self.unit * price, -np.inf).argmax(axis=1)
            for penalty in PENALTIES
        ]
        score, cost = np.nan_to_num(self.score), np.nan_to_num(self.cost)
        return Trail(
            np.stack([cost[rows, pick] for pick in picks]), np.stack([score[rows, pick] for pick in picks])
        )

    def curve(self, trail: Trail) -> tuple[tuple[float, float, float], ...]:
        """Return (quality per dollar, mean dollars, mean score) by knob."""
        rates = (PENALTIES / self.unit).tolist()
        return tuple((rate, cost, score) for rate, (cost, score) in zip(rates, trail.points, strict=True))

    def area(self, trail: Trail) -> float:
        """Return the hull area of a trail."""
        return mean_height(upper_hull(trail.points), self.low, self.high)

    def areas(self, trail: Trail, counts: Floats) -> Floats:
        """Return the hull area in each resample; `counts` is (resamples, queries)."""
        found = []
        for start in range(0, len(counts), _BLOCK):
            weights = counts[start : start + _BLOCK]
            weights = weights / weights.sum(axis=1, keepdims=True)
            costs, scores = weights @ trail.cost.T, weights @ trail.score.T
            for cost, score in zip(costs, scores, strict=True):
                points = list(zip(cost.tolist(), score.tolist(), strict=True))
                found.append(mean_height(upper_hull(points), self.low, self.high))
        return np.array(found)

    def gain(self, trail: Trail, other: Trail, *, resamples: int = 300, seed: int = 0) -> Point:
        """Return the 95 % paired bootstrap interval of the difference between two trails' hull areas."""
        queries = len(self.score)
        counts = (
            np.random.default_rng(seed)
            .multinomial(queries, np.full(queries, 1 / queries), resamples)
            .astype(np.float64)
        )
        low, high = np.quantile(self.areas(trail, counts) - self.areas(other, counts), [0.025, 0.975])
        return float(low), float(high)


def _is_below(first: Point, middle: Point, last: Point) -> bool:
    """Tell whether `middle` lies on or below the line from `first` to `last`."""
    rise, run = last[1] - first[1], last[0] - first[0]
    return (middle[1] - first[1]) * run <= rise * (middle[0] - first[0])
