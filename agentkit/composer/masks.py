"""Exact choice where coverage is certain: a table of the least price of every set of skills.

    least[m ∪ covers_i] = min(least[m ∪ covers_i], least[m] + cost_i),   value(m) = Σ_{j ∈ m} w_j

2^J sets for J skills, whatever the prices. Of components that cover the same skills only the least costly can
matter, so that before the table is filled any catalog shrinks to at most 2^J − 1 of them (for each limited
resource, those that no other undercuts in all). With several limited resources a set of skills keeps every price
that no other undercuts. Held and Karp's dynamic program over subsets, 1962, for budgeted maximum coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agentkit.composer.shelf import Offer, Shelf, fits

SURE = 0.5
"""A component covers a skill if it does so with this probability or more."""

Way = tuple[tuple[int, ...], tuple[int, ...]]
"""A price and the places of the offers that are bought for it."""


def certain(shelf: Shelf) -> bool:
    """Tell whether every offer either covers a skill or does not, with nothing in between."""
    return all(chance in (0, 1) for offer in shelf.offers for chance in offer.covers)


def by_masks(shelf: Shelf) -> tuple[int, ...]:
    """Return the places of the offers to buy, reading probabilities from `SURE` up as certain."""
    if len(shelf.room) == 1:
        return _by_one_price(shelf)
    worth = _worth(shelf)
    fitting = [
        (worth(mask) - shelf.kept(price), tuple(-part for part in price), places)
        for mask, ways in least_prices(shelf).items()
        for price, places in ways
        if fits(price, shelf.room)
    ]
    return max(fitting)[2] if fitting else ()


def _by_one_price(shelf: Shelf) -> tuple[int, ...]:
    """The same where one resource is limited: a number a set, and the offer and set it was last grown from."""
    room = shelf.room[0]
    least: dict[int, int] = {0: 0}
    grown: dict[int, tuple[int, int]] = {}
    for place, mask in undercut(shelf.offers):
        price = shelf.offers[place].price[0]
        for covered, cost in list(least.items()):
            union = covered | mask
            if union != covered and cost + price < least.get(union, room + 1):
                least[union], grown[union] = cost + price, (covered, place)
    worth = _worth(shelf)
    mask = max(least, key=lambda one: (worth(one) - shelf.kept((least[one],)), -least[one]))
    places: list[int] = []
    while mask:
        mask, place = grown[mask]
        places.append(place)
    return tuple(dict.fromkeys(places))


def _worth(shelf: Shelf) -> Callable[[int], float]:
    return lambda mask: sum(weight for skill, weight in enumerate(shelf.weights) if mask >> skill & 1)


def least_prices(shelf: Shelf) -> dict[int, list[Way]]:
    """Return by set of skills, a bit each, the undominated ways to cover it (at least)."""
    table: dict[int, list[Way]] = {0: [((0,) * len(shelf.room), ())]}
    for place, mask in undercut(shelf.offers):
        price = shelf.offers[place].price
        for covered, ways in list(table.items()):
            if covered | mask != covered:
                grown = [(tuple(map(sum, zip(cost, price, strict=True))), (*items, place)) for cost, items in ways]
                table[covered | mask] = _undominated([*table.get(covered | mask, ()), *grown])
    return table


def undercut(offers: Sequence[Offer]) -> list[tuple[int, int]]:
    """Return place and skills of the offers that no other undercuts for the same skills."""
    least: dict[int, list[Way]] = {}
    for place, offer in enumerate(offers):
        mask = 0
        for skill, chance in enumerate(offer.covers):
            if chance >= SURE:
                mask |= 1 << skill
        if not mask:
            continue
        known = least.get(mask)
        if known is None:
            least[mask] = [(offer.price, (place,))]
        elif not any(fits(price, offer.price) for price, _ in known):
            least[mask] = [way for way in known if not fits(offer.price, way[0])] + [(offer.price, (place,))]
    return [(place, mask) for mask, ways in least.items() for _, (place,) in ways]


def _undominated(ways: Iterable[Way]) -> list[Way]:
    kept: list[Way] = []
    for way in sorted(ways):
        if not any(fits(other[0], way[0]) for other in kept):
            kept.append(way)
    return kept
