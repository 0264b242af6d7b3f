"""Panels in a replay: votes, votes by log odds, and the reply a verifier believes in most.

The k cheapest of the better half of the models are asked, for every k; the rules themselves are in
`agentkit.routers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from agentkit.evals.baselines.cascades import shared_fit
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.routers import Router
from agentkit.routers.best_of import BestOfRouter
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.verified import Verified, rehearsal_stage, rehearse
from agentkit.routers.votes import VoteRouter

By = Literal["vote", "weighted vote", "verifier"]


def panels(by: By) -> Contender:
    """Return the contender that settles its panels in one of these ways."""

    def fit(table: OutcomeTable) -> Ladder:
        fitted = shared_fit(table)
        panels = _panels(table)
        rehearsed, live = _makers(fitted, by)
        stage = rehearsal_stage(fitted.table)
        trail = rehearse(lambda size: rehearsed(panels[int(size)]), range(len(panels)), stage)
        routers = tuple(live(panel) for panel in panels)
        return Ladder(routers, tuple(cost for cost, _ in trail.points), fitted.base)

    return fit


def _panels(table: OutcomeTable) -> list[list[str]]:
    score, cost = np.nan_to_num(table.score).mean(axis=0), np.nan_to_num(table.cost).mean(axis=0)
    better = score.argsort()[-(len(score) // 2 + 1) :].tolist()
    strong = sorted(better, key=lambda model: float(cost[model]))
    return [[table.models[m] for m in strong[:size]] for size in range(1, len(strong) + 1)]


def _makers(fitted: Verified, by: By) -> tuple[Callable[[Sequence[str]], Router], ...]:
    """Return what makes the router of a panel, for the rehearsal on training queries and for the replay."""
    if by == "verifier":
        return (
            lambda panel: BestOfRouter(panel, fitted.rehearsal),
            lambda panel: BestOfRouter(panel, fitted.estimator),
        )
    if by == "vote":
        return VoteRouter, VoteRouter
    return lambda panel: VoteRouter(panel, fitted.held_out), lambda panel: VoteRouter(panel, fitted.base)
