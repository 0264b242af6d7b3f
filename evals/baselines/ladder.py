"""What takes part in a replay: routers by falling spend, fitted on training outcomes.

The rungs of a ladder are settings of one knob, the same number whatever it is fitted on, so that a rung means the
same in every fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentkit.routers import Router
from agentkit.routers.estimators import FittedEstimator, OutcomeTable
from agentkit.routers.mixed import MixedRouter


@dataclass(frozen=True, slots=True)
class Ladder:
    """Routers by falling spend, what each is expected to spend (dollars per query), and the estimator behind them.

    `spend` comes from training alone. `stream` makes a router for a hard budget in dollars and a number of queries
    (None: unknown); without it the one expected to spend as much is used. `usual` is what a user gets without
    asking, at the spend of the best single model.
    """

    routers: tuple[Router, ...]
    spend: tuple[float, ...]
    estimator: FittedEstimator | None = None
    stream: Callable[[float, int | None], Router] | None = None
    usual: Router | None = None

    def at(self, spend: float) -> Router:
        """Return the router expected to spend `spend` dollars per query: a rung, or a draw between two."""
        below = [place for place, expected in enumerate(self.spend) if expected <= spend]
        cheap = max(below, key=lambda place: self.spend[place], default=len(self.spend) - 1)
        above = [place for place, expected in enumerate(self.spend) if expected > spend]
        if not below or not above:
            return self.routers[cheap]
        dear = min(above, key=lambda place: self.spend[place])
        share = (spend - self.spend[cheap]) / (self.spend[dear] - self.spend[cheap])
        return MixedRouter(self.routers[dear], self.routers[cheap], share)

    def under(self, budget: float, queries: int) -> Router:
        """Return the router for `queries` queries under a hard `budget` of dollars in all."""
        return self.stream(budget, queries) if self.stream else self.at(budget / max(queries, 1))


Contender = Callable[[OutcomeTable], Ladder]
"""Fits on training outcomes."""
