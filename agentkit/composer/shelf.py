"""What can be bought beside one model: the joint choice of a model and of what it works with, one model at a time.

    value(S) = quality(model) · Σ_j w_j (1 − Π_{i ∈ S} (1 − p_ij)),   Σ_{i ∈ S} cost_i ≤ available − cost(model)

p_ij is the probability that component i covers skill j of weight w_j, independent of the others: monotone and
submodular in S. What is not spent may be worth something too: with a rent λ the solvers maximise value(S) − λ ·
cost, still submodular. Exactly one model is chosen where the catalog has one (multiple choice), so trying each in
turn leaves the joint choice exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import le, mul
from typing import NamedTuple

from agentkit.catalog import Catalog, Component
from agentkit.composer.sums import usable


class Offer(NamedTuple):
    """A component as the solvers read it: its price in each limited resource, and by skill what it may cover."""

    component: Component
    price: tuple[int, ...]
    covers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The offers beside `model` within `room`, an amount of each of the `limited` resources.

    `weights` are those of the skills, times the quality of the model; `rent` is what a unit of each limited
    resource is worth if it is kept.
    """

    model: Component | None
    offers: tuple[Offer, ...]
    limited: tuple[str, ...]
    room: tuple[int, ...]
    weights: tuple[float, ...]
    rent: tuple[float, ...]

    @property
    def fee(self) -> float:
        """What the price of the model would be worth if it were kept."""
        return 0.0 if self.model is None else self.kept([self.model.cost[name] for name in self.limited])

    def net(self, places: Sequence[int]) -> float:
        """Return the expected value of the offers at `places` less what their price would be worth if kept."""
        return self.value(places) - self.kept(self.price(places))

    def kept(self, price: Sequence[int]) -> float:
        """Return what `price` is worth to who keeps it."""
        worth: float = sum(map(mul, self.rent, price))
        return worth

    def surplus(self, missing: Sequence[float], offer: Offer) -> float:
        """Return what `offer` adds to what is `missing`, less what its price is worth."""
        return gain(missing, offer) - self.kept(offer.price)

    def value(self, places: Iterable[int]) -> float:
        """Return the expected value of the offers at `places`."""
        return sum(self.weights) - sum(self.missing(places))

    def missing(self, places: Iterable[int]) -> list[float]:
        """Return by skill the weight that the offers at `places` are expected to leave uncovered."""
        left = list(self.weights)
        for place in places:
            for skill, chance in enumerate(self.offers[place].covers):
                left[skill] *= 1 - chance
        return left

    def price(self, places: Iterable[int]) -> tuple[int, ...]:
        """Return what the offers at `places` cost together."""
        prices = [self.offers[place].price for place in places]
        return tuple(sum(column) for column in zip(*prices, strict=True)) if prices else (0,) * len(self.room)

    def size(self, offer: Offer) -> float:
        """Return the share of the room that an offer takes, summed over the limited resources."""
        return sum(
            (part / whole if whole else math.inf)
            for part, whole in zip(offer.price, self.room, strict=True)
            if part
        )


def gain(missing: Sequence[float], offer: Offer) -> float:
    """Return what `offer` is expected to add to what is `missing`."""
    added: float = sum(map(mul, missing, offer.covers))
    return added


def fits(price: Sequence[int], room: Sequence[int]) -> bool:
    """Tell whether `price` is within `room` in every limited resource."""
    return all(map(le, price, room))


def rents(catalog: Catalog, available: Mapping[str, int], worth: float) -> Mapping[str, float]:
    """Return what a unit of each resource is worth if keeping all of them is worth `worth` of the task."""
    whole = sum(skill.weight for skill in catalog.skills) * worth
    costly = [
        name for name, amount in available.items() if amount and any(c.cost[name] for c in catalog.components)
    ]
    return {name: whole / len(costly) / available[name] for name in costly}


def shelves(
    catalog: Catalog, available: Mapping[str, int], rent: Mapping[str, float] | None = None
) -> list[Shelf]:
    """Return a shelf for every model that fits, or for the least costly one; without models, one shelf."""
    limited = tuple(name for name in available if any(component.cost[name] for component in catalog.components))
    buyable = usable(catalog.components, limited)
    models: list[Component | None] = [component for component in buyable if component.kind == "model"]
    room = tuple(available[name] for name in limited)
    fees = tuple((rent or {}).get(name, 0.0) for name in limited)
    made = [
        _shelf(catalog, buyable, model, Shelf(None, (), limited, room, (), fees)) for model in models or [None]
    ]
    affordable = [shelf for shelf in made if all(part >= 0 for part in shelf.room)]
    return affordable or [max(made, key=lambda shelf: shelf.room)]


def _shelf(
    catalog: Catalog,
    components: Sequence[Component],
    model: Component | None,
    empty: Shelf,
) -> Shelf:
    limited, room = empty.limited, empty.room
    quality = 1.0 if model is None else model.value
    if model is not None:
        room = tuple(space - model.cost[name] for space, name in zip(room, limited, strict=True))
    offers = []
    for component in components:
        works = model is None or component.works_with is None or model.name in component.works_with
        if component.kind == "model" or not works or not any(component.covers):
            continue
        price = tuple(component.cost[name] for name in limited)
        if fits(price, room):
            offers.append(Offer(component, price, component.covers))
    weights = tuple(skill.weight * quality for skill in catalog.skills)
    return replace(empty, model=model, offers=tuple(offers), room=room, weights=weights)
