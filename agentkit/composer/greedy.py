"""Greedy for uncertain coverage: what adds most per share of the budget, then again.

Alone this can be arbitrarily bad (a cheap trifle may keep out a dear treasure), so it is also started from the
best single offer: at least ½(1 − 1/e) of the optimum for a monotone submodular value under one budget (Leskovec et
al., KDD 2007). Started from every set of three it reaches 1 − 1/e (Sviridenko, Oper. Res. Lett. 32, 2004); from
every single one, as here with `partial`, it is in practice within a few per cent (`agentkit bench compose`).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from agentkit.composer.shelf import Shelf, fits

LEAST_GAIN = 1e-9
"""Less than this is rounding, not value."""


def by_greed(shelf: Shelf, *, partial: bool = False) -> tuple[int, ...]:
    """Return the places of the offers to buy; with `partial` the best of a start from every single offer."""
    singles = [place for place, offer in enumerate(shelf.offers) if fits(offer.price, shelf.room)]
    if not partial:
        missing = shelf.missing(())
        singles = sorted(singles, key=lambda place: shelf.surplus(missing, shelf.offers[place]))[-1:]
    starts: list[tuple[int, ...]] = [(), *((place,) for place in singles)]
    return max((_filled(shelf, start) for start in starts), key=shelf.net)


def _filled(shelf: Shelf, start: tuple[int, ...]) -> tuple[int, ...]:
    """Add to `start` what gains most for its size while anything fits; gains only fall, so old ones are bounds."""
    chosen, missing = list(start), shelf.missing(start)
    room = tuple(whole - part for whole, part in zip(shelf.room, shelf.price(start), strict=True))
    queue = [
        (-_density(shelf.surplus(missing, offer), shelf.size(offer)), place)
        for place, offer in enumerate(shelf.offers)
        if place not in start
    ]
    heapify(queue)
    while queue:
        _, place = heappop(queue)
        offer = shelf.offers[place]
        added = shelf.surplus(missing, offer)
        if added <= LEAST_GAIN or not fits(offer.price, room):
            continue
        density = _density(added, shelf.size(offer))
        if queue and density < -queue[0][0]:
            heappush(queue, (-density, place))
            continue
        chosen.append(place)
        room = tuple(whole - part for whole, part in zip(room, offer.price, strict=True))
        missing = [left * (1 - chance) for left, chance in zip(missing, offer.covers, strict=True)]
    return tuple(chosen)


def _density(added: float, size: float) -> float:
    return added / max(size, 1e-12)
