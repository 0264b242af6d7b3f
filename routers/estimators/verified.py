"""Fits cascade routing: an estimator, a verifier of replies, and what each setting spends and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from agentkit.costs import NANO, Cost
from agentkit.routers.base import Estimate, Estimator, Outcome, Query, Router
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.estimators.calibration import Calibration
from agentkit.routers.estimators.curve import mix, over_best
from agentkit.routers.estimators.fitted import FittedEstimator
from agentkit.routers.estimators.fitting import MIXTURES, Material
from agentkit.routers.estimators.hull import PENALTIES, Frontier, Trail
from agentkit.routers.estimators.recorded import Stage, play_each
from agentkit.routers.estimators.state import Arrays, dump, restore
from agentkit.routers.estimators.table import Floats, OutcomeTable
from agentkit.routers.estimators.verifier import VerifiedEstimator, Verifier
from agentkit.routers.mixed import MixedRouter
from agentkit.routers.preferences import Preferences
from agentkit.routers.utility import UtilityRouter
from agentkit.types import ModelCard

_MOST_PLAYED = 600  # training queries that each setting is rehearsed on
_PREFIX = "cascade."


@dataclass(frozen=True, slots=True)
class HeldOut:
    """An estimator that only knows the training queries, and predicts each as if it had not seen it."""

    quality: Mapping[str, Floats]
    cost: Floats
    models: Sequence[str]

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome] = ()
    ) -> Sequence[Estimate]:
        """Return the held-out predictions of a training query, at each model's mean cost."""
        row = self.quality[query.text]
        columns = [self.models.index(card.name) for card in candidates]
        return [Estimate(float(row[at]), 0.0, Cost(usd=round(float(self.cost[at]) * NANO))) for at in columns]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a live router decides with, and what its settings are rehearsed with on the training queries."""

    base: FittedEstimator
    estimator: VerifiedEstimator
    held_out: HeldOut
    rehearsal: VerifiedEstimator
    table: OutcomeTable


@dataclass(frozen=True, slots=True)
class Cascade:
    """Fitted cascade routing: `curve` is (quality per dollar, dollars, quality) by setting, as rehearsed.

    `gain` is the 95 % interval of what it adds to the hull area of choosing once, `over_best` of what it adds to
    the best single model at the same spend.
    """

    estimator: VerifiedEstimator
    curve: tuple[tuple[float, float, float], ...]
    gain: tuple[float, float]
    over_best: tuple[float, float]

    def over(self, base: Estimator) -> Cascade:
        """Return the same cascade with other priors."""
        return replace(self, estimator=VerifiedEstimator(base, self.estimator.verifier))

    def router(self, quality_per_usd: float, preferences: Preferences | None = None) -> Router:
        """Return the router at a price of quality."""
        judges = self.estimator.verifier.calls
        return CascadeRouter(self.estimator, quality_per_usd, preferences=preferences, judges_calls=judges)

    def spending(self, spend: float, preferences: Preferences | None = None) -> Router:
        """Return the router that spends `spend` dollars a query on average."""
        dear, cheap, share = mix(self.curve, spend)
        first = self.router(dear, preferences)
        return first if share >= 1 else MixedRouter(first, self.router(cheap, preferences), share)

    def dump(self) -> tuple[Arrays, dict[str, Any]]:
        """Return its arrays by name, and its plain values, fit for JSON."""
        arrays, plain = dump(self.estimator.base)  # type: ignore[arg-type]
        named = {f"{_PREFIX}{name}": array for name, array in arrays.items()}
        rest = {"curve": self.curve, "gain": self.gain, "over_best": self.over_best}
        return named, {"estimator": plain, "verifier": self.estimator.verifier.plain, **rest}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], plain: Mapping[str, Any]) -> Cascade:
        """Build what `dump` took apart; raises KeyError when something is missing."""
        own = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
        estimator = VerifiedEstimator(restore(own, plain["estimator"]), Verifier.of(plain["verifier"]))
        curve = tuple((float(rate), float(spend), float(quality)) for rate, spend, quality in plain["curve"])
        pairs = (tuple(map(float, plain[name])) for name in ("gain", "over_best"))
        return cls(estimator, curve, *pairs)  # type: ignore[arg-type]


def fit_cascade(material: Material) -> Cascade | None:
    """Fit on `material`; None where no reply is kept, or where it is not certain to add to choosing once."""
    table = material.table
    if not any(map(any, (table.answers, table.responses, table.replies))):
        return None
    fitted, knob = fit_verified(material), rates(table)
    stage = rehearsal_stage(fitted.table)
    cascade = partial(CascadeRouter, fitted.rehearsal, judges_calls=fitted.estimator.verifier.calls)
    trail = rehearse(cascade, knob, stage)
    single = rehearse(partial(UtilityRouter, fitted.held_out), knob, stage)
    frontier = Frontier.of(stage.table.score, stage.table.cost)
    gain = frontier.gain(trail, single)
    if gain[0] <= 0:
        return None
    curve = tuple((rate, *point) for rate, point in zip(knob, trail.points, strict=True))
    return Cascade(fitted.estimator, curve, gain, over_best(frontier, trail))


def fit_verified(material: Material) -> Verified:
    """Fit with the mixture of heads whose held-out predictions have the least squared error.

    Unlike a router that decides once, a cascade needs to know how hard a query is as much as who is good at it.
    """
    table = material.table
    means = {names: material.mean(names).held_out for names in MIXTURES}
    priors = {names: Calibration.fit(mean, table.score).apply(mean) for names, mean in means.items()}
    best = min(priors, key=lambda names: float(np.nanmean((priors[names] - table.score) ** 2)))
    base = material.estimator(best)
    verifier = Verifier.fit(table, priors[best])
    by_text = dict(zip(table.texts, priors[best], strict=True))
    held_out = HeldOut(by_text, np.nanmean(table.cost, axis=0), table.models)
    return Verified(
        base, VerifiedEstimator(base, verifier), held_out, VerifiedEstimator(held_out, verifier), table
    )


def rates(table: OutcomeTable) -> tuple[float, ...]:
    """Return the prices of quality a router is tried at, from the dearest setting to the cheapest."""
    return tuple((PENALTIES / Frontier.of(table.score, table.cost).unit).tolist())


def rehearsal_stage(table: OutcomeTable, *, seed: int = 0) -> Stage:
    """Return a draw of the training queries, made ready for replay."""
    return Stage.of(table.rows(np.random.default_rng(seed).permutation(len(table.items))[:_MOST_PLAYED]))


def rehearse(make: Callable[[float], Router], knob: Sequence[float], stage: Stage) -> Trail:
    """Return what the router does on `stage` at each setting."""
    played = play_each([make(rate) for rate in knob], stage)
    return Trail(np.stack([one.cost for one in played]), np.stack([one.score for one in played]))
