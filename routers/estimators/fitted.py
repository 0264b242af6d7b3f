"""The estimator that fitting makes: features, a head, its calibration, and what a call will use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from agentkit.costs import Cost
from agentkit.routers.base import Estimate, Outcome, Query
from agentkit.routers.estimators.amounts import Amount
from agentkit.routers.estimators.average import Average
from agentkit.routers.estimators.calibration import Calibration
from agentkit.routers.estimators.prior import CardPrior
from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard
from agentkit.usage import Price, Usage

REMEMBERED = 1_024
"""Queries whose predictions are kept: a cascade asks about the same query at every step."""
_GROUPS = (
    10  # queries that look alike to a calibrated head, as a share of all: the rest say little about a prediction
)
_CHARACTERS_PER_TOKEN = 4
_UNSEEN_OUTPUT = 300  # tokens of a reply by a model whose replies were never seen, when no other was seen either

T = TypeVar("T")


class Features(Protocol):
    """Turns texts into numbers, shape (texts, d)."""

    def of(self, texts: Sequence[str]) -> Floats:
        """Return the features of `texts`."""
        ...


@dataclass(frozen=True, slots=True)
class Predicted:
    """What is predicted for one query, by model: quality and its deviation, dollars, tokens, seconds."""

    quality: Floats
    deviation: Floats
    nano_usd: Floats
    input_tokens: Floats
    output_tokens: Floats
    seconds: Floats


@dataclass(slots=True)
class FittedEstimator:
    """Predicts quality and cost of each candidate; `models` are the columns of every array.

    `samples` is the number of queries fitted on, `prices` those that recorded costs were made at. Outcomes seen so
    far do not change the estimates: that is the work of a verifier.
    """

    models: tuple[str, ...]
    features: Features
    head: Average
    calibration: Calibration
    prior: CardPrior
    samples: int
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    remembered: int = REMEMBERED
    _known: dict[str, Predicted] = field(default_factory=dict, repr=False)
    _given: dict[str, tuple[tuple[ModelCard, ...], tuple[Estimate, ...]]] = field(default_factory=dict, repr=False)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome] = ()
    ) -> Sequence[Estimate]:
        """Return one estimate for each candidate; a model that was never seen is judged by its card."""
        cards = tuple(candidates)
        given = self._given.get(query.text)
        if given is None or given[0] != cards:
            predicted = self.predict(query.text)
            usual = _usual_tokens(predicted, query.text)
            given = cards, tuple(self._estimate(predicted, card, usual) for card in cards)
            self._keep(self._given, query.text, given)
        return given[1]

    def predict(self, text: str) -> Predicted:
        """Return what is predicted for one query, from memory when it was asked before."""
        if text not in self._known:
            self.warm([text])
        return self._known[text]

    def warm(self, texts: Sequence[str]) -> None:
        """Predict for many queries at once and remember."""
        wanted = [text for text in dict.fromkeys(texts) if text not in self._known]
        if not wanted:
            return
        features = self.features.of(wanted)
        each = np.stack([self.calibration.apply(one) for one in self.head.each(features)])
        quality = self.calibration.apply(self.head.predict(features))
        deviation = np.sqrt(each.var(axis=0) + quality * (1 - quality) / max(self.samples / _GROUPS, 1.0))
        unknown = np.full(quality.shape, np.nan)
        names = ("cost", "input_tokens", "output_tokens", "latency")
        amounts = [self.amounts[n].predict(features) if n in self.amounts else unknown for n in names]
        for row, text in enumerate(wanted):
            found = Predicted(quality[row], deviation[row], *(amount[row] for amount in amounts))
            self._keep(self._known, text, found)

    def _estimate(self, predicted: Predicted, card: ModelCard, usual: tuple[float, float]) -> Estimate:
        if card.name not in self.models:
            quality, deviation = self.prior.quality(card, float(predicted.quality.mean()))
            return Estimate(quality, deviation, _cost(card, math.nan, *usual))
        at = self.models.index(card.name)
        recorded = card.price is None or self.prices.get(card.name) in (None, card.price)
        nano = float(predicted.nano_usd[at]) if recorded else math.nan
        read, written = float(predicted.input_tokens[at]), float(predicted.output_tokens[at])
        cost = _cost(
            card, nano, read if math.isfinite(read) else usual[0], written if math.isfinite(written) else usual[1]
        )
        seconds = float(predicted.seconds[at])
        expected = seconds if math.isfinite(seconds) else None
        return Estimate(float(predicted.quality[at]), float(predicted.deviation[at]), cost, expected)

    def _keep(self, memory: dict[str, T], text: str, value: T) -> None:
        if len(memory) >= self.remembered:
            del memory[next(iter(memory))]
        memory[text] = value


def _usual_tokens(predicted: Predicted, text: str) -> tuple[float, float]:
    """Return tokens in and out for a model whose own are unknown: the mean of the others', else a guess."""
    read, written = predicted.input_tokens, predicted.output_tokens
    return (
        float(np.nanmean(read)) if np.isfinite(read).any() else len(text) / _CHARACTERS_PER_TOKEN,
        float(np.nanmean(written)) if np.isfinite(written).any() else _UNSEEN_OUTPUT,
    )


def _cost(card: ModelCard, nano: float, read: float, written: float) -> Cost:
    """Return dollars and tokens; dollars that were not predicted are tokens at the card's price."""
    usage = Usage(input_tokens=round(read), output_tokens=round(written))
    usd = round(nano) if math.isfinite(nano) else (card.price.nano_usd(usage) if card.price else 0)
    return Cost(usd=usd, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
