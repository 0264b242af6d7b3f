"""Splits a budget of whole units (samples, steps, tokens) where they gain most.

    maximise Σ_j v_j(b_j)   subject to   Σ_j b_j ≤ B,   v_j(b) = Σ_{k ≤ b} gain_j(k)

When every value v_j is concave, its marginal gains fall, and giving each unit to the highest gain left is exact
(O. Gross, 1956; B. Fox, Oper. Res. 14, 1966). What the units buy comes in as functions: see `allocation_samples`
and `allocation_plan`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

Gain = Callable[[int], float]
"""The value that the k-th unit adds, k from 1; it must not rise with k."""

_ROUNDING = 1e-9
"""A gain may rise by this part of itself, which is what floating point does to equal gains."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What each claimant gets, in units; `left` is not given to anybody.

    `shadow_price` is the gain of one more unit of budget: the highest marginal gain that was not paid for.
    """

    units: tuple[int, ...]
    left: int
    shadow_price: float


def allocate(
    gains: Sequence[Gain], budget: int, *, least: int = 0, most: int | None = None, epsilon: float = 0.0
) -> Allocation:
    """Give every claimant `least` units, then unit by unit the highest gain, up to `most` for one claimant.

    Stops when `budget` is given out or the highest gain is below `epsilon`, or 0: units that gain nothing stay
    with the caller. Equal gains go to the earlier claimant. Takes a step of log n for a unit. Raises ValueError
    when `budget` cannot pay `least`, and when a gain rises, for then the split would not be the best.
    """
    ceiling = math.inf if most is None else most
    if not 0 <= least * len(gains) <= budget or least > ceiling:
        raise ValueError(
            f"a budget of {budget} cannot give {len(gains)} claimants {least} units each, {ceiling} at most; "
            "lower least"
        )
    units, left = [least] * len(gains), budget - least * len(gains)

    def next_gain(place: int) -> float:
        return gains[place](units[place] + 1) if units[place] < ceiling else -math.inf

    queue = [(-next_gain(place), place) for place in range(len(gains))]
    heapify(queue)
    while queue and left and _worth(-queue[0][0], epsilon):
        gained, place = -queue[0][0], queue[0][1]
        units[place] += 1
        left -= 1
        following = next_gain(place)
        if following > gained + _ROUNDING * abs(gained):
            raise ValueError(
                f"the gain of claimant {place} rises from {gained:g} to {following:g} at unit {units[place] + 1}; "
                "gains must fall, so give the first units as least"
            )
        heapreplace(queue, (-following, place))
    return Allocation(tuple(units), left, max(0.0, -queue[0][0]) if queue else 0.0)


def _worth(gain: float, epsilon: float) -> bool:
    return gain > 0 and gain >= epsilon
