"""A budget over a stream of queries: the price of quality at which what is left lasts as long as it must.

With predicted quality q̂ and cost ĉ of each model on the queries to come, the best use of a budget is the linear
program of the multiple-choice knapsack, whose dual is one number, the shadow price λ (Sinha and Zoltners, Oper.
Res. 27, 1979): every query takes argmax_m q̂_m − λ·ĉ_m. The queries to come are expected to look like a sample of
training queries and a window of recent ones together, and λ is solved again as the ledger's balance and the window
change; s is what a query spends at a price:

    λ_t = the least λ at which  ρ(λ) · mean s(λ) ≤ (balance − o) / queries left

ρ is what a router that may call several times spends beyond one call, as rehearsed in training. o is what a hold
asks beyond the cost of its call: money that is never free to be spent, so a plan that counts on it calls the dear
models early, at too low a price, and then not at all.

A reserve of what the cheapest call of every later query costs is out of reach, so that none is left without an
answer. Where queries come in an order, cheap ones first, the recent ones tell too little. Once those seen were
cheaper than chance explains, all queries together are to cost what training says, so those to come cost that less
what has been. What is left comes from the ledger (`ScopeView.available`): budgets by run, by day and by user work
alike, and may overlap.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import pstdev

from agentkit.costs import NANO
from agentkit.routers.base import Call, Decision, Estimator, Outcome, Query, Router
from agentkit.types import ModelCard, ScopeView

Options = Mapping[str, tuple[float, float]]
"""What one query may cost, in dollars, and the quality that is predicted for it, by model."""
Spends = Sequence[tuple[float, float]]
"""Prices of quality, and what a router spent a query at each, in dollars."""

CHEAPEST = 1e15
"""A price at which nothing but cost counts."""
WINDOW = 500
"""Recent queries that stand for those to come, beside those of training."""
_EVERY = 10  # queries after which the price is solved again
_LEAST_LEFT = 400  # queries that are still expected when nobody says how many there will be
_AHEAD = 2  # times the queries seen so far, likewise: with once as many, late queries may get no answer
_CHANCE = 3  # standard deviations: a stream that was cheaper than usual by more comes in an order
_CALLS = 100  # recent calls whose holds are looked at
_MOST_HELD = 0.5  # of what is left beyond the reserve, for what holds ask beyond their costs


class ShadowPriceRouter:
    """Asks `router(λ)` with the λ that what is left of the budget can afford; one object for one stream.

    `expected` is the number of queries the budget is for. Without it twice as many are expected as were seen
    so far, and at least 400, so that the money lasts and a part of it is left over. `forecast` are options of
    training queries, and `spends` what `router` spent on such queries; without them one call a query is expected.
    Without a dollar limit in the view λ is 0.
    """

    def __init__(
        self,
        router: Callable[[float], Router],
        estimator: Estimator,
        *,
        expected: int | None = None,
        forecast: Iterable[Options] = (),
        spends: Spends = (),
    ) -> None:
        self.expected = expected
        self.quality_per_usd = 0.0
        self._make, self._estimator = router, estimator
        self._forecast, self._spends = [*forecast], spends
        self._trained: list[Staircase] = []
        self._recent: deque[Staircase] = deque(maxlen=WINDOW)
        self._beyond: dict[tuple[int, str], float] = {}  # by number of the query and model
        self._overrun = Overrun((), ())
        self._asked, self._based, self._usual = 0, 0.0, 0.0
        self._trained_base = 0.0, 0.0
        self._ordered = False
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
            if self._asked % _EVERY == 1 or min(self._asked, self.queries_left) < _EVERY:
                self._solve(balance / NANO)
        for outcome in seen:  # made, and not just thought of: `next` may be asked what it would do
            if not outcome.asked:
                self._hold(outcome.model, query, candidates)
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
        if not self._asked:
            self._learn({card.name for card in candidates})
        self._asked += 1
        estimates = self._estimator.estimate(query, candidates, ())
        options = [
            (one.cost["usd"] / NANO, one.quality)
            for card, one in zip(candidates, estimates, strict=True)
            if card.name in query.bounds
        ]
        if options:
            self._recent.append(staircase(options))
            self._based += self._recent[-1][0]
            self._usual = _mean_base([*self._trained, *self._recent])
            mean, deviation = self._trained_base
            saved = self._asked * mean - self._based
            self._ordered = self._ordered or saved > _CHANCE * deviation * math.sqrt(self._asked)

    def _learn(self, models: Collection[str]) -> None:
        """Take from the forecast what these `models` offer."""
        offered = [[pair for model, pair in one.items() if model in models] for one in self._forecast]
        self._trained = [staircase(options) for options in offered if options]
        if self._trained:
            self._trained_base = _mean_base(self._trained), pstdev(base for base, _ in self._trained)
        self._overrun = Overrun.of(self._spends, self._trained)

    def _hold(self, model: str, query: Query, candidates: Sequence[ModelCard]) -> None:
        """Note what a hold asked beyond the cost of its call."""
        names = [card.name for card in candidates]
        if (self._asked, model) in self._beyond or model not in query.bounds or model not in names:
            return
        cost = self._estimator.estimate(query, candidates, ())[names.index(model)].cost["usd"]
        self._beyond[self._asked, model] = max(query.bounds[model]["usd"] - cost, 0) / NANO
        if len(self._beyond) > _CALLS:
            del self._beyond[next(iter(self._beyond))]

    def _solve(self, balance: float) -> None:
        room = max(balance - self._reserve(), 0.0)
        free = balance - min(max(self._beyond.values(), default=0.0), _MOST_HELD * room)
        price = solve([*self._trained, *self._recent], free / (self.queries_left + 1), self._overrun)
        if price != self.quality_per_usd:
            self.quality_per_usd, self._router = price, self._make(price)

    def _reserve(self) -> float:
        """Return the dollars that later queries need at the least."""
        usual = self.queries_left * self._usual
        if not self.queries_left or self.expected is None or not self._ordered:
            return usual
        return max(usual, self.expected * self._trained_base[0] - self._based)


Staircase = tuple[float, list[tuple[float, float]]]
"""Cost of a query's cheapest useful option, then (quality per dollar, dollars) of each step up, falling."""


class Overrun:
    """What a router spends for each dollar of the one call that is worth most, by price of quality."""

    def __init__(self, prices: Sequence[float], factors: Sequence[float]) -> None:
        self._prices, self._factors = prices, factors

    @classmethod
    def of(cls, spends: Spends, queries: Sequence[Staircase]) -> Overrun:
        """Compare what was spent at each price with what one call on each of `queries` is expected to."""
        known = sorted(spends) if queries else []
        once = [_mean_spend(queries, price) for price, _ in known]
        pairs = [(price, spent / one) for (price, spent), one in zip(known, once, strict=True) if one > 0]
        return cls([price for price, _ in pairs], [factor for _, factor in pairs])

    def at(self, price: float) -> float:
        """Return the factor at `price`, between two that are known in proportion, 1 when none is."""
        if not self._prices:
            return 1.0
        place = bisect_left(self._prices, price)
        if place in (0, len(self._prices)):
            return self._factors[min(place, len(self._prices) - 1)]
        low, high = self._prices[place - 1], self._prices[place]
        share = (price - low) / (high - low)
        return self._factors[place - 1] * (1 - share) + self._factors[place] * share


def solve(queries: Collection[Staircase], spend: float, overrun: Overrun | None = None) -> float:
    """Return the price at which `queries` spend `spend` dollars each, CHEAPEST where no price is high enough."""
    spent, most = sum(base for base, _ in queries), spend * len(queries)
    if spent > most:
        return CHEAPEST
    for slope, extra in sorted((step for _, steps in queries for step in steps), reverse=True):
        spent += extra
        if spent * (overrun.at(slope) if overrun else 1.0) > most:
            return min(slope, CHEAPEST)
    return 0.0


def staircase(options: Iterable[tuple[float, float]]) -> Staircase:
    """Return the upper hull of `options`, pairs of dollars and quality, as steps."""
    hull: list[tuple[float, float]] = []
    for cost, quality in sorted(options, key=lambda option: (option[0], -option[1])):
        if hull and quality <= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], (cost, quality)):
            hull.pop()
        hull.append((cost, quality))
    steps = [(_slope(low, high), high[0] - low[0]) for low, high in zip(hull, hull[1:], strict=False)]
    return hull[0][0], steps


def _mean_base(queries: Collection[Staircase]) -> float:
    """Return the mean cost of the cheapest useful option, 0 without queries."""
    return sum(base for base, _ in queries) / len(queries) if queries else 0.0


def _mean_spend(queries: Collection[Staircase], price: float) -> float:
    steps = sum(extra for _, steps in queries for slope, extra in steps if slope > price)
    return _mean_base(queries) + steps / len(queries)


def _slope(low: tuple[float, float], high: tuple[float, float]) -> float:
    run = high[0] - low[0]
    return (high[1] - low[1]) / run if run > 0 else math.inf
