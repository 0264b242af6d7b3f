"""Which trial to pay for next, and when no trial can pay any more: Pandora's rule.

A box i costs c_i to open and may hold a prize X_i; y is the best in hand. Weitzman (Econometrica 47, 1979): open
the box of the highest reservation value σ_i, where E[(X_i − σ_i)⁺] = c_i, and stop once no σ_i is above y. A box
is worth opening exactly if E[(X_i − y)⁺] > c_i, and that excess is what is computed here:

    y     the value of the best choice within the room that is left
    X     the value of the best choice after m more verdicts on one pair of component and skill
    c_i   what the choice loses when the room shrinks by their price, and what that would be worth if it were kept

m is 1 to `RUN`: one verdict that can change no choice may be the first of two that do. Prizes of boxes here add up
and share a budget, so the rule is a one-step look-ahead rather than the optimum it is for Pandora.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from agentkit.composer.greedy import LEAST_GAIN, by_greed
from agentkit.composer.shelf import Offer, Shelf, fits, gain
from agentkit.composer.verdicts import updated

RUN = 3
LUMPS = (1, 3, 10, 20)
"""Numbers of trials over which giving up a purchase is spread."""
_PRICED_OUT = -math.inf


class Trial(NamedTuple):
    """`times` verdicts on the offer at `place` for `skill`, and the value expected of them above their price."""

    place: int
    skill: int
    times: int
    excess: float


def next_trial(shelf: Shelf, price: tuple[int, ...], reliability: float) -> Trial | None:
    """Return the verdicts that pay most per verdict, None if none pays.

    `price` is that of one verdict, in the limited resources of the shelf.
    """
    after, lost = _cheapest_way(shelf, price)
    if after is None:
        return None
    best: Trial | None = None
    promises = after.promises()
    for times in range(1, RUN + 1):
        paid = times * (lost + shelf.kept(price))
        for place, skill, promise in promises:
            bar = max(0.0, best.excess / best.times * times if best else 0.0)
            if promise - paid <= bar:
                break  # promises fall: nothing after this can do better
            excess = after.expected(place, skill, times, reliability) - paid
            if excess > bar + LEAST_GAIN:
                best = Trial(place, skill, times, excess)
    return best


def _cheapest_way(shelf: Shelf, price: tuple[int, ...]) -> tuple[_Choice | None, float]:
    """Return the choice that is left when trials are paid for, and what one of them then costs in value.

    Purchases come in lumps: giving one up pays for many trials, the first of which would look far too dear alone.
    """
    now = shelf.net(by_greed(shelf))
    best: tuple[float, Shelf, tuple[int, ...]] | None = None
    for times in LUMPS:
        less = _shrunk(shelf, price, times)
        if less is not None:
            chosen = by_greed(less)
            lost = max(now - less.net(chosen), 0.0) / times
            if best is None or lost < best[0]:
                best = lost, less, chosen
    return (None, 0.0) if best is None else (_Choice(best[1], best[2]), best[0])


def _shrunk(shelf: Shelf, price: tuple[int, ...], count: int) -> Shelf | None:
    room = tuple(whole - count * part for whole, part in zip(shelf.room, price, strict=True))
    if any(space < 0 for space in room):
        return None
    return replace(shelf, room=room)


class _Choice:
    """The best choice on a shelf, and what it becomes when one probability changes."""

    def __init__(self, shelf: Shelf, chosen: tuple[int, ...]) -> None:
        self._shelf, self._chosen = shelf, chosen
        self._missing = shelf.missing(self._chosen)
        self._room = self._left(self._chosen)
        # the choice without each of its members: what is missing and the room then
        self._without = {place: self._but(place) for place in self._chosen}
        self._instead = {place: self._replacement(place) for place in self._chosen}

    def promises(self) -> list[tuple[int, int, float]]:
        """Return every uncertain pair with the most that verdicts on it could be worth, the highest first."""
        found = []
        weights = self._shelf.weights
        for place, offer in enumerate(self._shelf.offers):
            if not fits(offer.price, self._shelf.room):
                continue
            for skill, chance in enumerate(offer.covers):
                if 0 < chance < 1:
                    # bought, it may turn out useless: what replaces it is worth no more than what it was to cover
                    promise = weights[skill] * (chance * (1 - chance))
                    if place not in self._without:
                        gained = gain(self._missing, offer) + self._missing[skill] * (1 - chance)
                        most = max((rest for rest, _ in self._without.values()), key=sum, default=self._missing)
                        promise = chance * max(gained, gain(most, offer) + most[skill] * (1 - chance))
                    found.append((place, skill, promise))
        return sorted(found, key=lambda pair: -pair[2])

    def expected(self, place: int, skill: int, count: int, reliability: float) -> float:
        """Return how much `count` verdicts on a pair are expected to raise the value of the best choice."""
        offer, ratio = self._shelf.offers[place], reliability / (1 - reliability)
        chance = offer.covers[skill]
        total = 0.0
        for helped in range(count + 1):
            ways = math.comb(count, helped)
            yes = reliability**helped * (1 - reliability) ** (count - helped)
            no = (1 - reliability) ** helped * reliability ** (count - helped)
            believed = updated(chance, ratio, 2 * helped - count)
            rise = self._rise(place, offer, skill, believed)
            total += ways * (chance * yes + (1 - chance) * no) * rise
        return total

    def _rise(self, place: int, offer: Offer, skill: int, believed: float) -> float:
        """Return what can be gained over standing by the choice once the offer is `believed` for the skill."""
        covers = (*offer.covers[:skill], believed, *offer.covers[skill + 1 :])
        seen = Offer(offer.component, offer.price, covers)
        if place not in self._without:
            return max(self._added(seen), 0.0)
        if believed >= offer.covers[skill]:
            return 0.0
        return max(self._instead[place], stays := self._shelf.surplus(self._without[place][0], seen)) - stays

    def _added(self, offer: Offer) -> float:
        """Return the best of buying `offer` too, or instead of something chosen."""
        if fits(offer.price, self._room):
            return self._shelf.surplus(self._missing, offer)
        swaps = (
            self._shelf.surplus(missing, offer) - self._shelf.surplus(missing, self._shelf.offers[other])
            for other, (missing, room) in self._without.items()
            if fits(offer.price, room)
        )
        return max(swaps, default=_PRICED_OUT)

    def _but(self, place: int) -> tuple[Sequence[float], tuple[int, ...]]:
        rest = [other for other in self._chosen if other != place]
        return self._shelf.missing(rest), self._left(rest)

    def _replacement(self, place: int) -> float:
        """Return the most that anything else, or nothing, adds in the place of something chosen."""
        missing, room = self._without[place]
        others = (
            self._shelf.surplus(missing, other)
            for other_place, other in enumerate(self._shelf.offers)
            if other_place not in self._without and fits(other.price, room)
        )
        return max(max(others, default=0.0), 0.0)

    def _left(self, places: Sequence[int]) -> tuple[int, ...]:
        spent = self._shelf.price(places)
        return tuple(whole - part for whole, part in zip(self._shelf.room, spent, strict=True))
