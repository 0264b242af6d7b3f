"""A guess at a model that was never seen, from its card alone: price, or the quality its card states.

Over the fitted models the mean score is regressed on the logarithm of the output price (dearer models are better,
with diminishing returns); a card that states a quality is taken at its word. The guess moves with how hard the
query is for the models that are known:

    q̂(x) = clip( mean_m q̂_m(x) + prior(card) − mean_m ȳ_m )
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard
from agentkit.usage import Price

_FREE = 0.005  # dollars per million tokens: what a model of one's own is taken to cost
_SHRINK = 2.0  # pseudo-models without a relation between price and quality
_LEAST_DEVIATION = 0.1


@dataclass(frozen=True, slots=True)
class CardPrior:
    """Intercept and slope of the mean score over ln(output price), the spread around it, and the overall mean."""

    line: Floats

    @classmethod
    def fit(cls, models: Sequence[str], means: Floats, prices: Mapping[str, Price]) -> CardPrior:
        """Fit on the mean scores of `models`; without two prices it is their mean."""
        mean, spread = float(means.mean()), float(means.std()) if len(means) > 1 else 0.25
        priced = [(_log_price(prices[m]), q) for m, q in zip(models, means, strict=True) if m in prices]
        if len({price for price, _ in priced}) < 2:
            return cls(np.array([mean, 0.0, max(spread, _LEAST_DEVIATION), mean]))
        x, y = np.array(priced).T
        centred = x - x.mean()
        slope = max(0.0, float(centred @ y) / (float(centred @ centred) + _SHRINK))
        rest = y - y.mean() - slope * centred
        deviation = max(float(rest.std()), _LEAST_DEVIATION)
        return cls(np.array([y.mean() - slope * x.mean(), slope, deviation, mean]))

    def quality(self, card: ModelCard, level: float) -> tuple[float, float]:
        """Return quality and deviation of `card` on a query where the known models reach `level` on average."""
        intercept, slope, deviation, mean = map(float, self.line)
        guess = mean
        if card.quality is not None:
            guess = card.quality
        elif card.price is not None:
            guess = intercept + slope * _log_price(card.price)
        return min(max(guess + level - mean, 0.0), 1.0), deviation


def _log_price(price: Price) -> float:
    return math.log(max(float(price.output), _FREE))
