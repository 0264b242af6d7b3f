"""Estimates that go on learning from what their models do, when they are asked to.

Quality: the logit of each model's estimate is shifted by δ, a normal prior around 0 whose precision comes from the
estimate's own deviation. Each score y is one step of online logistic regression (Laplace's approximation):

    p = σ(logit q̂ + δ),   Λ ← Λ + p(1 − p),   δ ← δ + (y − p)/Λ

Amounts (dollars, tokens in and out): what was used over what was expected, with κ runs that went as expected,

    factor = (Σ used + κ·m) / (Σ expected + κ·m),   m = Σ expected / n
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from agentkit.costs import Cost
from agentkit.routers.base import Estimate, Estimator, Outcome, Query
from agentkit.routers.lessons import Lesson, RunReader, Verdict
from agentkit.trace import Stamped
from agentkit.types import ModelCard

AMOUNTS: Final = ("usd", "input_tokens", "output_tokens")
_PRIOR_RUNS = 20.0  # κ
_LEAST_PRECISION, _MOST_PRECISION = 1.0, 400.0
_EDGE = 1e-3  # from 0 and 1


@dataclass(slots=True)
class Learnt:
    """What was learnt of one model: δ, its precision Λ, runs, and by amount what was used and expected."""

    shift: float = 0.0
    precision: float = 0.0
    runs: int = 0
    used: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))
    expected: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))

    def learn(self, lesson: Lesson, estimate: Estimate) -> None:
        """Take one lesson; `estimate` is what was expected before anything was learnt."""
        self.runs += 1
        for name, used in zip(AMOUNTS, (lesson.nano_usd, lesson.input_tokens, lesson.output_tokens), strict=True):
            self.used[name] += used
            self.expected[name] += estimate.cost[name]
        if lesson.score is None:
            return
        spread = estimate.quality * (1 - estimate.quality)
        if not self.precision:
            prior = (spread / max(estimate.deviation, _EDGE)) ** 2
            self.precision = min(max(prior, _LEAST_PRECISION), _MOST_PRECISION)
        chance = self.quality(estimate.quality)
        self.precision += chance * (1 - chance)
        self.shift += (lesson.score - chance) / self.precision

    def quality(self, estimated: float) -> float:
        """Return an estimated quality as it is now seen."""
        inside = min(max(estimated, _EDGE), 1 - _EDGE)
        return 1 / (1 + math.exp(-math.log(inside / (1 - inside)) - self.shift))

    def cost(self, expected: Cost) -> Cost:
        """Return an expected cost as it is now seen."""
        return Cost({name: round(amount * self._factor(name)) for name, amount in expected.items()})

    def _factor(self, name: str) -> float:
        if name not in AMOUNTS or not self.expected[name]:
            return 1.0
        prior = _PRIOR_RUNS * self.expected[name] / self.runs
        return (self.used[name] + prior) / (self.expected[name] + prior)


@dataclass(slots=True)
class Lessons:
    """What was learnt by model; `until` is when the latest run that is in it began, in Unix seconds."""

    models: dict[str, Learnt] = field(default_factory=dict)
    until: float = 0.0

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Lessons:
        """Build it from what JSON made of it; raises KeyError and TypeError when something is wrong."""
        return cls({model: Learnt(**one) for model, one in plain["models"].items()}, float(plain["until"]))

    @property
    def plain(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return asdict(self)


@dataclass(slots=True)
class LearningEstimator:
    """`base` as the `lessons` see it; without lessons its estimates are those of `base`."""

    base: Estimator
    lessons: Lessons
    _cards: dict[str, ModelCard] = field(default_factory=dict, repr=False)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome] = ()
    ) -> Sequence[Estimate]:
        """Return one estimate for each candidate, by what was fitted and what was learnt since."""
        estimates = self.base.estimate(query, candidates, seen)
        self._cards.update((card.name, card) for card in candidates if card.name not in self._cards)
        if not self.lessons.models:
            return estimates
        return [self._seen(card.name, one) for card, one in zip(candidates, estimates, strict=True)]

    def learn(self, lessons: Iterable[Lesson]) -> int:
        """Take in lessons; returns how many there were."""
        count = 0
        for lesson in lessons:
            card = self._cards.get(lesson.model) or ModelCard(lesson.model, "", lesson.model)
            (estimate,) = self.base.estimate(Query(lesson.task, {}), (card,), ())
            self.lessons.models.setdefault(lesson.model, Learnt()).learn(lesson, estimate)
            self.lessons.until = max(self.lessons.until, lesson.time)
            count += 1
        return count

    def _seen(self, model: str, estimate: Estimate) -> Estimate:
        learnt = self.lessons.models.get(model)
        if learnt is None:
            return estimate
        return replace(estimate, quality=learnt.quality(estimate.quality), cost=learnt.cost(estimate.cost))


class Learner:
    """A trace sink that has an estimator learn from each run as it ends: `agent.run(task, trace=learner)`."""

    def __init__(self, estimator: LearningEstimator, verdict: Verdict | None = None) -> None:
        self.estimator = estimator
        self._reader = RunReader(verdict)

    def write(self, stamped: Stamped) -> None:
        """Take the next event of a run."""
        self.estimator.learn(self._reader.feed(json.loads(stamped.to_json())))

    def close(self) -> None:
        """Do nothing: what was learnt is kept by the estimator."""
