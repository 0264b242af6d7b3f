"""What each setting of a router's knob spends and scores, held out, and what it can give at a given spend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agentkit.routers.estimators.hull import Frontier, Point, Trail, upper_hull
from agentkit.routers.estimators.table import Floats

Curve = Sequence[tuple[float, float, float]]
"""Quality per dollar, dollars per query and quality, from the dearest setting to the cheapest."""

_Z = 1.96
_PARTS = 2  # of five parts nearly all choose the same lucky setting
_UNSEEN = 2.0  # a query that was won and one that was lost, which nobody saw: few queries must not look certain


def mix(curve: Curve, spend: float) -> tuple[float, float, float]:
    """Return two qualities per dollar and the share of queries at the first, to spend `spend` a query on average.

    They are neighbours on the upper hull of the curve, so that no other draw is expected to do better; where
    nothing costs anything, the best setting.
    """
    rate_of = {(cost, quality): rate for rate, cost, quality in curve}
    hull = [(cost, rate_of[cost, quality]) for cost, quality in upper_hull(list(rate_of)) if cost > 0]
    if not hull:
        best = max(curve, key=lambda point: point[2])[0]
        return best, best, 1.0
    if spend <= hull[0][0]:
        return hull[0][1], hull[0][1], 1.0
    for (cheap, cheap_rate), (dear, dear_rate) in zip(hull, hull[1:], strict=False):
        if spend < dear:
            return dear_rate, cheap_rate, (spend - cheap) / (dear - cheap)
    return hull[-1][1], hull[-1][1], 1.0


def over_best(frontier: Frontier, trail: Trail, *, seed: int = 0) -> Point:
    """Return the 95 % interval of what a router gains on the best single model, at that model's spend.

    A setting looks better on the queries it was chosen on than it is, so each half of them is measured at the
    settings that the other half chooses.
    """
    cost, score = (np.nan_to_num(matrix[:, frontier.best]) for matrix in (frontier.cost, frontier.score))
    part = np.random.default_rng(seed).permutation(len(score)) % _PARTS
    gains = np.empty(len(score))
    for this in range(_PARTS):
        chosen, measured = part != this, part == this
        gains[measured] = _at(trail, chosen, float(cost[chosen].mean()))[measured] - score[measured]
    spread = _Z * math.sqrt(float(((gains - gains.mean()) ** 2).sum()) + _UNSEEN) / len(gains)
    return float(gains.mean()) - spread, float(gains.mean()) + spread


def _at(trail: Trail, chosen: np.ndarray, spend: float) -> Floats:
    """Return the expected score of every query at the settings that spend `spend` on the `chosen` ones."""
    points = zip(trail.cost[:, chosen].mean(axis=1), trail.score[:, chosen].mean(axis=1), strict=True)
    curve = [(float(row), float(cost), float(score)) for row, (cost, score) in enumerate(points)]
    dear, cheap, share = mix(curve, spend)
    expected: Floats = share * trail.score[int(dear)] + (1 - share) * trail.score[int(cheap)]
    return expected
