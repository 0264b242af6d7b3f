"""Fits estimators on outcome tables, and chooses between them on predictions that had not seen the query.

Candidates are two simple heads (constant, difficulty), others alone, and plain averages. Each is judged by the
area under the hull that utility routing with it draws on its held-out predictions. The best one is taken only if
its gain over the simple ones is certain (the 95 % interval of the paired bootstrap is above zero): where one model
dominates, or the text does not say which model is good at what, the best router is nearly not to route.
"""

from __future__ import annotations

import math
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
from agentkit.routers.estimators.difficulty import Difficulty
from agentkit.routers.estimators.factors import Factors
from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.fitted import Features, FittedEstimator
from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.hull import Frontier, Trail, upper_hull
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
_Z = 1.96
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


def mix(curve: Sequence[tuple[float, float, float]], spend: float) -> tuple[float, float, float]:
    """Do what `Choice.mix` does, on any curve."""
    rate_of = {(cost, quality): rate for rate, cost, quality in curve}
    hull = [(cost, rate_of[cost, quality]) for cost, quality in upper_hull(list(rate_of)) if cost > 0]
    if spend <= hull[0][0]:
        return hull[0][1], hull[0][1], 1.0
    for (cheap, cheap_rate), (dear, dear_rate) in zip(hull, hull[1:], strict=False):
        if spend < dear:
            return dear_rate, cheap_rate, (spend - cheap) / (dear - cheap)
    return hull[-1][1], hull[-1][1], 1.0


class Fitted(NamedTuple):
    """An estimator, how it was chosen, and how its held-out predictions agree with what happened."""

    estimator: FittedEstimator
    choice: Choice
    reliability: Reliability


def fit_estimator(
    table: OutcomeTable,
    *,
    heads: Sequence[str] | None = None,
    features: Callable[[Sequence[str]], Features] = LexicalFeatures.fit,
    calibration: Method = "beta",
) -> Fitted:
    """Fit on all of `table`; `heads` are averaged, by default the mixture that is best on held-out predictions.

    Queries without any outcome are left out. Raises ConfigError when there are too few.
    """
    table = table.rows(np.flatnonzero(table.known.any(axis=1)))
    if len(table.items) < LEAST_QUERIES:
        raise ConfigError(
            f"table {table.name!r} has {len(table.items)} queries with an outcome; fitting takes {LEAST_QUERIES}"
        )
    made = features(table.texts)
    numbers = made.of(table.texts)
    wanted = tuple(heads) if heads else tuple(dict.fromkeys(name for mixture in MIXTURES for name in mixture))
    fits = {name: HEADS[name](numbers, table.score) for name in wanted}
    frontier = Frontier.of(table.score, table.cost)
    amounts = _amounts(table, numbers)
    expected = amounts["cost"].held_out / NANO
    choice = _choose(table, fits, expected, frontier, [tuple(wanted)] if heads else MIXTURES)
    mean = Average.of([fits[name] for name in choice.heads])
    estimator = FittedEstimator(
        models=table.models,
        features=made,
        head=mean.head,
        calibration=Calibration.fit(mean.held_out, table.score, calibration),
        prior=CardPrior.fit(table.models, np.nanmean(table.score, axis=0), table.prices),
        samples=len(table.items),
        amounts={name: found.amount for name, found in amounts.items()},
        prices=table.prices,
    )
    return Fitted(estimator, choice, _reliability(mean.held_out, table, calibration))


def _choose(
    table: OutcomeTable,
    fits: Mapping[str, Fit],
    expected: Floats,
    frontier: Frontier,
    mixtures: Sequence[tuple[str, ...]],
) -> Choice:
    held_out = {names: Average.of([fits[name] for name in names]).held_out for names in mixtures}
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
        over_best=_over_best(frontier, trails[best]),
        best_model=table.models[frontier.best],
        areas=named,
        gain=gain,
    )


def _over_best(frontier: Frontier, trail: Trail) -> tuple[float, float]:
    """Return the 95 % interval of what routing gains on the best single model at its spend, held out."""
    dear, cheap, share = mix(frontier.curve(trail), frontier.best_single[0])
    row = {rate: place for place, (rate, _, _) in enumerate(frontier.curve(trail))}
    score = share * trail.score[row[dear]] + (1 - share) * trail.score[row[cheap]]
    gain = score - np.nan_to_num(frontier.score[:, frontier.best])
    spread = _Z * float(gain.std()) / math.sqrt(len(gain))
    return float(gain.mean()) - spread, float(gain.mean()) + spread


def _reliability(held_out: Floats, table: OutcomeTable, method: Method) -> Reliability:
    """Measure with maps that had not seen the queries they are applied to."""
    part = np.random.default_rng(0).permutation(len(held_out)) % _PARTS
    calibrated, base = np.empty_like(held_out), np.empty_like(held_out)
    for this in range(_PARTS):
        fitted, measured = part != this, part == this
        maps = Calibration.fit(held_out[fitted], table.score[fitted], method)
        calibrated[measured] = maps.apply(held_out[measured])
        base[measured] = fill(table.score[fitted]).mean(axis=0)
    return reliability(calibrated, base, table.score)


def _calibrated(predicted: Floats, scores: Floats) -> Floats:
    return Calibration.fit(predicted, scores).apply(predicted)


def _amounts(table: OutcomeTable, numbers: Floats) -> dict[str, AmountFit]:
    found = {
        "cost": Amount.fit(numbers, table.cost * NANO),
        "input_tokens": Amount.fit(numbers, table.input_tokens),
        "output_tokens": Amount.fit(numbers, table.output_tokens),
        "latency": Amount.fit(numbers, table.latency),
    }
    return {name: amount for name, amount in found.items() if amount is not None}
