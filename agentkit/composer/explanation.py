"""Why each component was chosen or not, and what more money would buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentkit.catalog import Catalog, Component, Selection
from agentkit.composer.shelf import Offer, Shelf, fits, gain
from agentkit.composer.sums import UNPRICED, amount_text, money, total

MATTERS = 0.01
"""A smaller share of the whole value is not spoken of."""
_LONGEST = 32


def explained(catalog: Catalog, shelf: Shelf, places: Sequence[int], bound: float | None = None) -> Selection:
    """Return the selection of the offers at `places` and the model of `shelf`, with its reasons."""
    said = _Explanation(catalog, shelf, places)
    chosen = [shelf.offers[place].component for place in places]
    if shelf.model is not None:
        chosen.append(shelf.model)
    reasons = {component.key: said.reason(component) for component in catalog.components}
    return Selection(said.chosen, reasons, shelf.value(places), total(chosen), said.more(), bound)


class _Explanation:
    def __init__(self, catalog: Catalog, shelf: Shelf, places: Sequence[int]) -> None:
        self._catalog, self._shelf = catalog, shelf
        self._missing = shelf.missing(places)
        self._left = tuple(whole - part for whole, part in zip(shelf.room, shelf.price(places), strict=True))
        keys = {shelf.offers[place].component.key for place in places}
        self.chosen = frozenset(keys if shelf.model is None else keys | {shelf.model.key})

    def reason(self, component: Component) -> str:
        """Say in one line why `component` was chosen, or why not."""
        if component.kind == "model":
            if component.key in self.chosen:
                return f"the best choice together with its tools: quality {component.value:.2f}"
            return f"another model with its tools is worth more: quality {component.value:.2f}"
        if component.key in self.chosen:
            return f"covers {self._skills(component)} for {money(component.cost)}"
        if not component.priced and "usd" in self._shelf.limited:
            return UNPRICED
        if not self._works(component):
            return f"does not work with the model {self._shelf.model.name if self._shelf.model else ''}"
        added = self._gain(component)
        if added <= MATTERS * sum(self._shelf.weights):
            return "adds nothing to what is chosen"
        fitting = "" if fits(self._price(component), self._left) else ", which no longer fits"
        return f"would add {added:.2f} for {money(component.cost)}{fitting}"

    def more(self) -> str:
        """Name the component left out that adds most for the money that is lacking: the shadow price."""
        best = (0.0, "")
        for component in self._catalog.components:
            added = self._gain(component)
            if component.key in self.chosen or not self._works(component):
                continue
            lacking = self._lacking(component)
            if lacking and added > MATTERS * sum(self._shelf.weights):
                amounts = " and ".join(amount_text(name, amount) for name, amount in lacking.items())
                room = dict(zip(self._shelf.limited, self._shelf.room, strict=True))
                share = sum(amount / max(room[name], 1) for name, amount in lacking.items())
                best = max(best, (added / share, f"{amounts} more would add {component.name} (+{added:.2f})"))
        return best[1]

    def _works(self, component: Component) -> bool:
        model = self._shelf.model
        return model is None or component.works_with is None or model.name in component.works_with

    def _price(self, component: Component) -> tuple[int, ...]:
        return tuple(component.cost[name] for name in self._shelf.limited)

    def _gain(self, component: Component) -> float:
        return gain(self._missing, Offer(component, (), component.covers)) if component.covers else 0.0

    def _lacking(self, component: Component) -> Mapping[str, int]:
        amounts = zip(self._shelf.limited, self._price(component), self._left, strict=True)
        return {name: price - left for name, price, left in amounts if price > left}

    def _skills(self, component: Component) -> str:
        named = sorted(zip(component.covers, self._catalog.skills, strict=True), key=lambda pair: -pair[0])
        most = named[0][0]
        return ", ".join(f"{_short(skill.name)!r} {chance:.2f}" for chance, skill in named if chance > most / 2)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"
