"""Fits estimators on outcome tables, and chooses between them on predictions that had not seen the query.

Candidates are two simple heads (constant, difficulty), others alone, and plain averages. Each is judged by the
area under the hull that utility routing with it draws on its held-out predictions. The best one is taken only if
its gain over the simple ones is certain (the 95 % interval of the paired bootstrap is above zero): where one model
dominates, or the text does not say which model is good at what, the best router is nearly not to route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from agentkit.costs import NANO
from agentkit.errors import ConfigError
from agentkit.routers.estimators.amounts import Amount, AmountFit
from agentkit.routers.estimators.average import Average
from agentkit.routers.estimators.calibration import Calibration, Method
from agentkit.routers.estimators.clusters import Clusters
from agentkit.routers.estimators.constant import Constant
from agentkit.routers.estimators.curve import mix, over_best
from agentkit.routers.estimators.difficulty import Difficulty
from agentkit.routers.estimators.factors import Factors
from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.fitted import Features, FittedEstimator
from agentkit.routers.estimators.forecast import Forecast
from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.hull import Frontier
from agentkit.routers.estimators.linear import Linear
from agentkit.routers.estimators.neighbours import Neighbours
from agentkit.routers.estimators.prior import CardPrior
from agentkit.routers.estimators.reliability import Reliability, reliability
from agentkit.routers.estimators.table import Floats, OutcomeTable

HEADS: Mapping[str, Callable[[Floats, Floats], Fit]] = {
    "constant": Constant.fit,
    "difficulty": Difficulty.fit,
    "clusters": Clusters.fit,
    "factors": Factors.fit,
    "linear": Linear.fit,
    "neighbours": Neighbours.fit,
}
"""The heads by name."""

SIMPLE = (("constant",), ("difficulty",))
"""What is taken where no other mixture is certainly better: neither says which model is good at what."""
MIXTURES = (
    *SIMPLE,
    ("linear",),
    ("clusters",),
    ("linear", "clusters"),
    ("linear", "clusters", "difficulty"),
    ("linear", "clusters", "neighbours"),
)
"""What the default chooses from: heads that are averaged."""

LEAST_QUERIES = 20
_PARTS = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """Which heads were averaged and why, and what utility routing with them is expected to give.

    `areas` are held-out hull areas by mixture, `gain` is the 95 % interval of the best one's gain over the simple
    ones. `curve` has a row (quality per dollar, dollars per query, quality) for each point of the held-out front,
    from the dearest to the cheapest; `best_single` is what `best_model` spends and scores, `over_best` the
    95 % interval of what routing gains on it at the same spend.
    """

    heads: tuple[str, ...]
    curve: tuple[tuple[float, float, float], ...]
    best_single: tuple[float, float]
    over_best: tuple[float, float]
    best_model: str
    areas: Mapping[str, float] = field(default_factory=dict)
    gain: tuple[float, float] = (0.0, 0.0)

    @property
    def routes(self) -> bool:
        """Whether routing at the spend of the best single model is certain to gain on it."""
        return self.over_best[0] > 0

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Choice:
        """Build it from what JSON made of it; raises KeyError when something is missing."""
        curve = tuple((float(rate), float(spend), float(quality)) for rate, spend, quality in plain["curve"])
        pairs = {name: tuple(map(float, plain[name])) for name in ("best_single", "over_best", "gain")}
        return cls(
            heads=tuple(plain["heads"]),
            curve=curve,
            best_model=plain["best_model"],
            areas=plain["areas"],
            **pairs,  # type: ignore[arg-type]
        )

    def mix(self, spend: float) -> tuple[float, float, float]:
        """Return two qualities per dollar and the share of queries at the first, to spend `spend` a query on
        average.

        They are neighbours on the upper hull of the curve, so that no other draw is expected to do better.
        """
        return mix(self.curve, spend)


class Fitted(NamedTuple):
    """An estimator, how it was chosen, how its held-out predictions agree with what happened, and some of them."""

    estimator: FittedEstimator
    choice: Choice
    reliability: Reliability
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Material:
    """A table made ready for fitting: its queries as numbers, each head and amount fitted once, when asked for.

    `table` is without the queries that have no outcome.
    """

    table: OutcomeTable
    features: Features
    numbers: Floats
    _heads: dict[str, Fit] = field(default_factory=dict, repr=False)
    _amounts: dict[str, AmountFit] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, table: OutcomeTable, *, features: Callable[[Sequence[str]], Features] = LexicalFeatures.fit
    ) -> Material:
        """Fit the features; raises ConfigError when there are too few queries."""
        table = table.rows(np.flatnonzero(table.known.any(axis=1)))
        if len(table.items) < LEAST_QUERIES:
            count = f"{len(table.items)} queries with an outcome"
            loss = f" ({table.counts.loss})" if table.counts.loss else ""
            raise ConfigError(f"table {table.name!r} has {count}; fitting takes {LEAST_QUERIES}{loss}")
        made = features(table.texts)
        return cls(table, made, made.of(table.texts))

    def mean(self, heads: Sequence[str]) -> Fit:
        """Return the average of the heads of these names."""
        for name in heads:
            if name not in self._heads:
                self._heads[name] = HEADS[name](self.numbers, self.table.score)
        return Average.of([self._heads[name] for name in heads])

    @property
    def amounts(self) -> Mapping[str, AmountFit]:
        """What a call will use: cost (nano-dollars), tokens in and out, latency; what is unknown is not in it."""
        if not self._amounts:
            table = self.table
            for name, known in (
                ("cost", table.cost * NANO),
                ("input_tokens", table.input_tokens),
                ("output_tokens", table.output_tokens),
                ("latency", table.latency),
            ):
                if found := Amount.fit(self.numbers, known):
                    self._amounts[name] = found
        return self._amounts

    def estimator(self, heads: Sequence[str], calibration: Method = "beta") -> FittedEstimator:
        """Return the estimator whose quality is the calibrated average of `heads`."""
        mean, table = self.mean(heads), self.table
        return FittedEstimator(
            models=table.models,
            features=self.features,
            head=mean.head,
            calibration=Calibration.fit(mean.held_out, table.score, calibration),
            prior=CardPrior.fit(table.models, np.nanmean(table.score, axis=0), table.prices),
            samples=len(table.items),
            amounts={name: found.amount for name, found in self.amounts.items()},
            prices=table.prices,
        )


def fit_estimator(
    table: OutcomeTable | Material,
    *,
    heads: Sequence[str] | None = None,
    features: Callable[[Sequence[str]], Features] = LexicalFeatures.fit,
    calibration: Method = "beta",
) -> Fitted:
    """Fit on all of `table`; `heads` are averaged, by default the mixture that is best on held-out predictions.

    Queries without any outcome are left out. Raises ConfigError when there are too few.
    """
    material = table if isinstance(table, Material) else Material.of(table, features=features)
    choice = _choose(material, [tuple(heads)] if heads else MIXTURES)
    unseen, base = _unseen(material.mean(choice.heads).held_out, material.table, calibration)
    forecast = Forecast.draw(unseen, material.amounts["cost"].held_out / NANO)
    judged = reliability(unseen, base, material.table.score)
    return Fitted(material.estimator(choice.heads, calibration), choice, judged, forecast)


def _choose(material: Material, mixtures: Sequence[tuple[str, ...]]) -> Choice:
    table, expected = material.table, material.amounts["cost"].held_out / NANO
    frontier = Frontier.of(table.score, table.cost)
    held_out = {names: material.mean(names).held_out for names in mixtures}
    trails = {
        names: frontier.trail(_calibrated(predicted, table.score), expected)
        for names, predicted in held_out.items()
    }
    areas = {names: frontier.area(trail) for names, trail in trails.items()}
    best, gain = max(areas, key=lambda names: areas[names]), (0.0, 0.0)
    if len(mixtures) > 1:
        simple = max(SIMPLE, key=lambda names: areas[names])
        gain = frontier.gain(trails[best], trails[simple])
        best = best if gain[0] > 0 else simple
    named = {"+".join(names): area for names, area in areas.items()}
    return Choice(
        heads=best,
        curve=frontier.curve(trails[best]),
        best_single=frontier.best_single,
        over_best=over_best(frontier, frontier.trail(_unseen(held_out[best], table)[0], expected)),
        best_model=table.models[frontier.best],
        areas=named,
        gain=gain,
    )


def _unseen(held_out: Floats, table: OutcomeTable, method: Method = "beta") -> tuple[Floats, Floats]:
    """Return calibrated predictions and base rates by maps that had not seen the queries they are applied to."""
    part = np.random.default_rng(0).permutation(len(held_out)) % _PARTS
    calibrated, base = np.empty_like(held_out), np.empty_like(held_out)
    for this in range(_PARTS):
        fitted, measured = part != this, part == this
        maps = Calibration.fit(held_out[fitted], table.score[fitted], method)
        calibrated[measured] = maps.apply(held_out[measured])
        base[measured] = fill(table.score[fitted]).mean(axis=0)
    return calibrated, base


def _calibrated(predicted: Floats, scores: Floats) -> Floats:
    return Calibration.fit(predicted, scores).apply(predicted)
