"""A budget over a stream of queries: the price of quality at which what is left lasts as long as it must.

With predicted quality q̂ and cost ĉ of each model on the queries to come, the best use of a budget is the linear
program of the multiple-choice knapsack, whose dual is one number, the shadow price λ (Sinha and Zoltners, Oper.
Res. 27, 1979): every query takes argmax_m q̂_m − λ·ĉ_m. Here the queries to come are expected to look like a
window of recent ones, and λ is solved again as the ledger's balance and the window change:

    λ_t = the λ at which the window spends balance / queries left, per query

A reserve of what the cheapest call of every later query costs is out of reach, so that none is left without an
answer. Where queries come in an order, cheap ones first, the recent ones tell too little: all queries together are
to cost what training says, so those to come cost that less what has been. What is left comes from the ledger
(`ScopeView.available`): budgets by run, by day and by user work alike, and may overlap.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from agentkit.costs import NANO
from agentkit.routers.base import Call, Decision, Estimator, Outcome, Query, Router
from agentkit.types import ModelCard, ScopeView

Options = Sequence[tuple[float, float]]
"""What one query may cost, in dollars, and the quality that is predicted for it, one pair for each model."""

CHEAPEST = 1e15
"""A price at which nothing but cost counts."""
WINDOW = 500
"""Recent queries that stand for those to come."""
_EVERY = 10  # queries after which the price is solved again
_LEAST_LEFT = 400  # queries that are still expected when nobody says how many there will be
_AHEAD = 2  # times the queries seen so far, likewise: with once as many, late queries may get no answer


class ShadowPriceRouter:
    """Asks `router(λ)` with the λ that what is left of the budget can afford; one object for one stream.

    `expected` is the number of queries the budget is for. Without it twice as many are expected as were seen
    so far, and at least 400, so that the money lasts and a part of it is left over. `forecast` are options of
    training queries, for the start and for the reserve. Without a dollar limit in the view λ is 0.
    """

    def __init__(
        self,
        router: Callable[[float], Router],
        estimator: Estimator,
        *,
        expected: int | None = None,
        forecast: Iterable[Options] = (),
    ) -> None:
        self.expected = expected
        self.quality_per_usd = 0.0
        self._make, self._estimator = router, estimator
        self._window = deque((_staircase(options) for options in forecast if options), WINDOW)
        self._usual = _mean_base(self._window)
        self._asked, self._based = 0, 0.0
        self._router = router(0.0)

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return what the router says at the present price, later queries' cheapest calls kept out of reach."""
        balance = view.available.get("usd")
        if balance is None:
            return self._router.next(query, candidates, seen, view)
        if not seen:
            self._see(query, candidates)
            if self._asked % _EVERY == 1 or len(self._window) < _EVERY:
                self._solve(balance / NANO)
        room = int(balance - self._reserve() * NANO)
        spared = view._replace(available={**view.available, "usd": room})
        decision = self._router.next(query, candidates, seen, spared)
        if isinstance(decision, Call) or seen:
            return decision
        return self._make(CHEAPEST).next(query, candidates, seen, view)  # the reserve is for this, too

    @property
    def queries_left(self) -> int:
        """Queries that are expected after the present one."""
        if self.expected is None:
            return max(_AHEAD * self._asked, _LEAST_LEFT)
        return max(self.expected - self._asked, 0)

    def _see(self, query: Query, candidates: Sequence[ModelCard]) -> None:
        self._asked += 1
        estimates = self._estimator.estimate(query, candidates, ())
        options = [
            (one.cost["usd"] / NANO, one.quality)
            for card, one in zip(candidates, estimates, strict=True)
            if card.name in query.bounds
        ]
        if options:
            self._window.append(_staircase(options))
            self._based += self._window[-1][0]

    def _solve(self, balance: float) -> None:
        price = solve(self._window, balance / (self.queries_left + 1))
        if price != self.quality_per_usd:
            self.quality_per_usd, self._router = price, self._make(price)

    def _reserve(self) -> float:
        """Return the dollars that later queries need at the least."""
        recent = self.queries_left * _mean_base(self._window)
        if not self.queries_left or self.expected is None:
            return recent
        return max(recent, self.expected * self._usual - self._based)


Staircase = tuple[float, list[tuple[float, float]]]
"""Cost of a query's cheapest useful option, then (quality per dollar, dollars) of each step up, falling."""


def solve(queries: Iterable[Staircase], spend: float) -> float:
    """Return the price at which `queries` spend `spend` dollars each, CHEAPEST where no price is high enough."""
    queries = list(queries)
    left = spend * len(queries) - sum(base for base, _ in queries)
    if left < 0:
        return CHEAPEST
    for slope, extra in sorted((step for _, steps in queries for step in steps), reverse=True):
        left -= extra
        if left < 0:
            return min(slope, CHEAPEST)
    return 0.0


def _mean_base(queries: Collection[Staircase]) -> float:
    """Return the mean cost of the cheapest useful option, 0 without queries."""
    return sum(base for base, _ in queries) / len(queries) if queries else 0.0


def _staircase(options: Options) -> Staircase:
    """Return the upper hull of `options` as steps."""
    hull: list[tuple[float, float]] = []
    for cost, quality in sorted(options, key=lambda option: (option[0], -option[1])):
        if hull and quality <= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], (cost, quality)):
            hull.pop()
        hull.append((cost, quality))
    steps = [(_slope(low, high), high[0] - low[0]) for low, high in zip(hull, hull[1:], strict=False)]
    return hull[0][0], steps


def _slope(low: tuple[float, float], high: tuple[float, float]) -> float:
    run = high[0] - low[0]
    return (high[1] - low[1]) / run if run > 0 else math.inf
