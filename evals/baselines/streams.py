"""Routers for a hard budget over a stream, of one call a query: the shadow price, and greedy.

`greedy` is what most gateways do: the best model while the money lasts, then the cheapest. It keeps the same
reserve for the cheapest calls as the shadow price, so that what is compared is the choice alone.
"""

from __future__ import annotations

import numpy as np

from agentkit.evals.baselines.heads import OneCall
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.routers import Router, UtilityRouter
from agentkit.routers.artefact import Artefact
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.verified import rates
from agentkit.routers.fit import fit
from agentkit.routers.shadow_price import CHEAPEST, ShadowPriceRouter

_fitted: list[tuple[OutcomeTable, Artefact]] = []


def stream(*, known: bool = True, greedy: bool = False) -> Contender:
    """Return the contender; `known` is whether it is told how many queries there will be."""

    def made(table: OutcomeTable) -> Ladder:
        artefact = _artefact(table)
        middle = rates(table)[len(rates(table)) // 2]
        router = OneCall(UtilityRouter(artefact.estimator, 0.0 if greedy else middle))
        return Ladder(
            (router,),
            (float(np.nanmean(table.cost)),),
            artefact.estimator,
            lambda budget, queries: one_call(artefact, queries if known else None, greedy=greedy),
        )

    return made


def one_call(artefact: Artefact, expected: int | None, *, greedy: bool = False) -> ShadowPriceRouter:
    """Return the router of one stream on the estimates of `artefact`."""

    def make(rate: float) -> Router:
        return OneCall(UtilityRouter(artefact.estimator, 0.0 if greedy and rate < CHEAPEST else rate))

    forecast = artefact.forecast.options(artefact.estimator.models)
    return ShadowPriceRouter(make, artefact.estimator, expected=expected, forecast=forecast)


def _artefact(table: OutcomeTable) -> Artefact:
    """Return what is fitted on `table`, the same while the table is the same."""
    if not _fitted or _fitted[0][0] is not table:
        _fitted[:] = [(table, fit(table))]
    return _fitted[0][1]
