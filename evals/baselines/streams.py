"""Routers for a hard budget over a stream: the shadow price, with the number of queries known and not, and greedy.

`greedy` is what most gateways do: the best model while the money lasts, then the cheapest. It keeps the same
reserve for the cheapest calls as the shadow price, so that what is compared is the choice alone.
"""

from __future__ import annotations

import numpy as np

from agentkit.evals.baselines.cascades import shared_fit
from agentkit.evals.baselines.heads import OneCall
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.routers import Router, UtilityRouter
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.verified import HeldOut, rates
from agentkit.routers.shadow_price import CHEAPEST, WINDOW, ShadowPriceRouter


def stream(*, known: bool = True, greedy: bool = False) -> Contender:
    """Return the contender; `known` is whether it is told how many queries there will be."""

    def fit(table: OutcomeTable) -> Ladder:
        fitted = shared_fit(table)

        def make(rate: float) -> Router:
            return OneCall(UtilityRouter(fitted.base, 0.0 if greedy and rate < CHEAPEST else rate))

        def under(budget: float, queries: int | None) -> Router:
            expected = queries if known else None
            return ShadowPriceRouter(make, fitted.base, expected=expected, forecast=forecast)

        forecast = _forecast(fitted.held_out)
        middle = rates(table)[len(rates(table)) // 2]
        return Ladder((make(middle),), (float(np.nanmean(table.cost)),), fitted.base, under)

    return fit


def _forecast(known: HeldOut) -> list[list[tuple[float, float]]]:
    """Return what some training queries may cost and are expected to score."""
    rows = np.random.default_rng(0).permutation(len(known.quality))[:WINDOW]
    predictions = list(known.quality.values())
    return [list(zip(known.cost.tolist(), predictions[row].tolist(), strict=True)) for row in rows]
