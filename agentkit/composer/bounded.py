"""Branch and bound for uncertain coverage: the optimum, or as near as `work` allows, and a bound.

At a node some offers are bought, some are refused and `room` is left. Coverage is submodular, so what any further
set R can add is at most Σ_{i ∈ R} gain_i; the fractional knapsack of the gains bounds that (Nemhauser, Wolsey and
Fisher, Math. Program. 14, 1978), for several resources the least of their bounds. The node with the highest bound
is branched on its densest offer: bought or refused. Once no bound is above the best set found, that set is
optimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from agentkit.composer.greedy import LEAST_GAIN, by_greed
from agentkit.composer.shelf import Shelf, fits

WORK = 30_000
"""Offers looked at before the search ends; some ten million a minute."""


class _Node(NamedTuple):
    chosen: tuple[int, ...]
    missing: Sequence[float]
    room: tuple[int, ...]
    open: tuple[int, ...]
    """The places neither bought nor refused that still fit and add anything, the densest first."""


def by_bounds(shelf: Shelf, work: int = WORK) -> tuple[tuple[int, ...], float]:
    """Return the places of the offers to buy, and a net value that no affordable set exceeds."""
    best = by_greed(shelf, partial=len(shelf.offers) ** 2 <= work)
    value = shelf.net(best)
    order = count()  # ties go to the node made first
    queue: list[tuple[float, int, _Node]] = []

    def add(node: _Node, candidates: Sequence[int]) -> None:
        nonlocal best, value
        here = sum(shelf.weights) - sum(node.missing) - shelf.kept(shelf.price(node.chosen))
        if here > value + LEAST_GAIN:
            best, value = node.chosen, here
        rated = [(shelf.surplus(node.missing, shelf.offers[place]), place) for place in candidates]
        live = [
            (added, place)
            for added, place in rated
            if added > LEAST_GAIN and fits(shelf.offers[place].price, node.room)
        ]
        live.sort(key=lambda pair: -pair[0] / max(shelf.size(shelf.offers[pair[1]]), 1e-12))
        bound = here + _most(shelf, live, node.room)
        if bound > value + LEAST_GAIN:
            heappush(queue, (-bound, next(order), node._replace(open=tuple(place for _, place in live))))

    add(_Node((), shelf.missing(()), shelf.room, ()), range(len(shelf.offers)))
    while work > 0:
        if not queue or -queue[0][0] <= value + LEAST_GAIN:
            return best, value
        node = heappop(queue)[2]
        first, *rest = node.open
        work -= 2 * len(node.open)
        offer = shelf.offers[first]
        room = tuple(whole - part for whole, part in zip(node.room, offer.price, strict=True))
        missing = [left * (1 - chance) for left, chance in zip(node.missing, offer.covers, strict=True)]
        add(_Node((*node.chosen, first), missing, room, ()), rest)
        add(node, rest)
    return best, max(value, -queue[0][0] if queue else value)


def _most(shelf: Shelf, live: Sequence[tuple[float, int]], room: tuple[int, ...]) -> float:
    """Bound what the offers of `live`, each with its gain, can add within `room`."""
    bounds = [sum(added for added, _ in live)]
    for resource, space in enumerate(room):
        left, bound = float(space), 0.0
        priced = [(added, shelf.offers[place].price[resource]) for added, place in live]
        for added, price in sorted(priced, key=lambda pair: -pair[0] / max(pair[1], 1e-12)):
            if price > left:
                bound += added * left / price
                break
            left, bound = left - price, bound + added
        bounds.append(bound)
    return min(bounds)
