"""What is wanted beside quality for money: a price of time, and what no call may pass (Tryage, arXiv 2308.11601).

    m* = argmax_m  q̂_m − λ·ĉ_m − κ·t̂_m     over the m that keep to every constraint

λ is what a dollar is worth in quality and κ what a second is, so that the weight of quality is 1 and no unit has
to be made up. Any weights choose from the Pareto front, the models that no other beats in all three at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from agentkit.costs import NANO, Cost
from agentkit.errors import ConfigError
from agentkit.routers.base import Estimate, Outcome, Query
from agentkit.types import Capabilities, ModelCard, ScopeView


@dataclass(frozen=True, slots=True)
class Preferences:
    """A price of seconds, and constraints on one query with all its calls.

    `quality_per_second` is how much quality, 0 to 1, a second is worth. `usd` at most holds for what calls cost at
    the worst, `seconds` at most for what they are expected to take. `needs` names fields of `Capabilities`. What
    is not known keeps to no limit: a model without a price to none of dollars, one without latencies to none of
    seconds.
    """

    quality_per_second: float = 0.0
    usd: float | None = None
    seconds: float | None = None
    needs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("quality_per_second", "usd", "seconds"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} must be 0 or more, not {value!r}")
        known = {field.name for field in fields(Capabilities)}
        for name in sorted(self.needs - known):
            raise ConfigError(f"there is no capability {name!r}; there are {', '.join(sorted(known))}")

    def price(self, estimate: Estimate, quality_per_usd: float, slowest: float) -> float:
        """Return what a call costs in quality; one of unknown latency is taken for the `slowest`."""
        seconds = slowest if estimate.seconds is None else estimate.seconds
        return quality_per_usd * estimate.cost["usd"] / NANO + self.quality_per_second * seconds

    def allow(
        self, query: Query, card: ModelCard, seconds: float | None, seen: Sequence[Outcome], view: ScopeView
    ) -> bool:
        """Tell whether `card` can be called next: new to this query, able, affordable, within the constraints.

        `seconds` is how long its call is expected to take.
        """
        if any(outcome.model == card.name for outcome in seen) or not query.fits(card.name, view):
            return False
        if (query.needs_tools and not card.capabilities.tools) or not self._able(card):
            return False
        return self._affordable(query.bounds[card.name], card, seen) and self._in_time(seconds, seen)

    def _able(self, card: ModelCard) -> bool:
        return all(getattr(card.capabilities, name) for name in self.needs)

    def _affordable(self, bound: Cost, card: ModelCard, seen: Sequence[Outcome]) -> bool:
        if self.usd is None:
            return True
        if card.price is None and not bound["usd"]:
            return False
        return bound["usd"] + sum(outcome.cost["usd"] for outcome in seen) <= self.usd * NANO

    def _in_time(self, seconds: float | None, seen: Sequence[Outcome]) -> bool:
        if self.seconds is None:
            return True
        if seconds is None:
            return False
        return seconds + sum(outcome.seconds or 0.0 for outcome in seen) <= self.seconds


def slowest(estimates: Iterable[Estimate]) -> float:
    """Return the longest expected latency, 0 where none is known."""
    return max((one.seconds for one in estimates if one.seconds is not None), default=0.0)


def pareto_front(estimates: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Return the models that none beats: not better, cheaper and faster at once, and at least one of it strictly.

    A latency that is unknown is taken for the slowest.
    """
    late = slowest(estimates.values())
    points = {
        model: (-one.quality, one.cost["usd"], late if one.seconds is None else one.seconds)
        for model, one in estimates.items()
    }
    return tuple(model for model, point in points.items() if not any(_beats(p, point) for p in points.values()))


def _beats(point: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return point != other and all(mine <= theirs for mine, theirs in zip(point, other, strict=True))
