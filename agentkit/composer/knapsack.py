"""Exact 0/1 knapsack over the catalog: Nemhauser and Ullmann's list of undominated selections.

    maximise Σ value_i x_i   subject to   Σ cost_i x_i ≤ available, x_i ∈ {0, 1}, at least one model

Items are added one by one; of the selections so far only those survive that no other beats in value without
costing more in any limited resource (Management Science 15(9), 1969). Costs are integers, so the result is exact.
The same list read beyond the budget gives the shadow price: the least money that would buy more value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentkit.catalog import Catalog, Component, Selection
from agentkit.composer.sums import UNPRICED, amount_text, money, total, usable

LARGEST = 24
"""Components the exact solver takes; of a larger catalog those with the most value per cost."""


@dataclass(frozen=True, slots=True)
class _State:
    cost: tuple[int, ...]
    value: float
    items: tuple[int, ...]
    has_model: bool


class KnapsackComposer:
    """Chooses the most valuable components that fit."""

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Solve exactly for catalogs of up to `LARGEST` components; see `Composer.compose`."""
        limited = tuple(name for name in ("usd", "tokens") if name in available)
        buyable = usable(catalog.components, limited)
        everything = total(buyable)
        if all(everything[name] <= available[name] for name in limited):
            all_fit = dict.fromkeys((component.key for component in buyable), "everything fits the budget")
            reasons = {component.key: all_fit.get(component.key, UNPRICED) for component in catalog.components}
            return Selection(frozenset(all_fit), reasons, sum(c.value for c in buyable), everything)
        core = _core(buyable, limited)
        states = _undominated(core, limited)
        room = tuple(available[name] for name in limited)
        return _selection(catalog, core, states, limited, room)


def _core(components: Sequence[Component], limited: tuple[str, ...]) -> list[Component]:
    """Keep every model and the tools that are worth most for their cost."""

    def density(component: Component) -> tuple[bool, float]:
        return component.kind == "model", component.value / (1 + sum(component.cost[name] for name in limited))

    return sorted(components, key=density, reverse=True)[:LARGEST]


def _undominated(components: Sequence[Component], limited: tuple[str, ...]) -> list[_State]:
    states = [_State((0,) * len(limited), 0.0, (), False)]
    for place, component in enumerate(components):
        price = tuple(component.cost[name] for name in limited)
        grown = [
            _State(
                tuple(a + b for a, b in zip(state.cost, price, strict=True)),
                state.value + component.value,
                (*state.items, place),
                state.has_model or component.kind == "model",
            )
            for state in states
        ]
        states = [
            state
            for has_model in (True, False)
            for state in _pareto([s for s in (*states, *grown) if s.has_model is has_model])
        ]
    return states


def _pareto(states: Iterable[_State]) -> list[_State]:
    """Keep the states that no other beats; at most two resources are limited.

    In order of the first resource, so that a state can only be beaten by one before it: one that needs no more of
    the second resource and is worth as much. `second` and `values` are the stairs of those, both ascending.
    """
    kept: list[_State] = []
    second: list[int] = []
    values: list[float] = []
    for state in sorted(states, key=lambda s: (s.cost, -s.value)):
        place = bisect_right(second, state.cost[-1])
        if place and values[place - 1] >= state.value:
            continue
        kept.append(state)
        end = bisect_right(values, state.value, lo=place)
        second[place:end], values[place:end] = [state.cost[-1]], [state.value]
    return kept


def _selection(
    catalog: Catalog,
    components: Sequence[Component],
    states: Sequence[_State],
    limited: tuple[str, ...],
    room: tuple[int, ...],
) -> Selection:
    equipped = [state for state in states if state.has_model] or list(states)
    fitting = [state for state in equipped if all(a <= b for a, b in zip(state.cost, room, strict=True))]
    best = max(fitting or [min(equipped, key=lambda s: s.cost)], key=lambda s: (s.value, [-c for c in s.cost]))
    chosen = {components[place].key for place in best.items}
    left = {name: space - cost for name, space, cost in zip(limited, room, best.cost, strict=True)}
    reasons = {c.key: _reason(c, c.key in chosen, left) for c in catalog.components}
    cost = total(components[place] for place in best.items)
    return Selection(
        frozenset(chosen), reasons, best.value, cost, _more(components, equipped, best, limited, room)
    )


def _reason(component: Component, chosen: bool, left: Mapping[str, int]) -> str:
    if chosen:
        return f"adds {component.value:.2f} for {money(component.cost)}"
    if not component.priced and "usd" in left:
        return UNPRICED
    if any(component.cost[name] > space for name, space in left.items()):
        return f"would add {component.value:.2f} for {money(component.cost)}, which no longer fits"
    return f"would add {component.value:.2f}: not among the components worth most for their cost"


def _more(
    components: Sequence[Component],
    states: Sequence[_State],
    best: _State,
    limited: tuple[str, ...],
    room: tuple[int, ...],
) -> str:
    better = [state for state in states if state.value > best.value]
    if not better:
        return ""
    # the cheapest step up: the least that would have to be added to what is limited
    lacking = [tuple(max(0, a - b) for a, b in zip(state.cost, room, strict=True)) for state in better]
    short, state = min(zip(lacking, better, strict=True), key=lambda pair: (pair[0], -pair[1].value))
    added = ", ".join(sorted(components[place].name for place in set(state.items) - set(best.items)))
    amounts = " and ".join(
        amount_text(name, amount) for name, amount in zip(limited, short, strict=True) if amount
    )
    dropped = ", ".join(sorted(components[place].name for place in set(best.items) - set(state.items)))
    return f"{amounts} more would add {added}" + (f" instead of {dropped}" if dropped else "")
