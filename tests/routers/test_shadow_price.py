"""A hard budget over a stream: never passed, always an answer, and spent where it gains most, in any order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.costs import NANO, Cost
from agentkit.messages import assistant
from agentkit.routers import Call, Decision, Estimate, Outcome, Query, Router, UtilityRouter, shadow_price
from agentkit.routers.shadow_price import CHEAPEST, Options, ShadowPriceRouter, solve
from agentkit.types import Completion, ModelCard, ScopeView
from tests.scenario import card

CARDS = (card("small", "1"), card("large", "10"))
DOLLARS = {"small": 0.001, "large": 0.01}
BOUNDS = {name: Cost(usd=round(2 * dollars * NANO)) for name, dollars in DOLLARS.items()}  # twice the usual
COUNT = 400


@dataclass
class Gains:
    """Knows what the large model adds on each query."""

    gain: dict[str, float] = field(default_factory=dict)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        quality = {"small": 0.3, "large": 0.3 + self.gain[query.text]}
        costs = {name: Cost(usd=round(dollars * NANO)) for name, dollars in DOLLARS.items()}
        return [Estimate(quality[c.name], 0.1, costs[c.name]) for c in candidates]


@dataclass
class Stream:
    """What came of a stream: gain in all, dollars left, queries without an answer, and the prices of quality."""

    gained: float = 0.0
    left: int = 0
    silent: int = 0
    prices: list[float] = field(default_factory=list)


def run(
    router: ShadowPriceRouter,
    gains: Sequence[float],
    budget: float,
    seed: int = 0,
    bounds: dict[str, Cost] = BOUNDS,
) -> Stream:
    draw, found = random.Random(seed), Stream(left=round(budget * NANO))
    for number, gain in enumerate(gains):
        view = ScopeView("s", {"usd": found.left}, Cost(), Cost(), Cost(), {"usd": found.left})
        query = Query(f"{number}: {gain}", bounds)
        call = router.next(query, CARDS, (), view)
        found.prices.append(router.quality_per_usd)
        if not isinstance(call, Call):
            found.silent += 1
            continue
        spent = round(DOLLARS[call.model] * draw.uniform(0.5, 1.5) * NANO)
        assert bounds[call.model]["usd"] <= found.left
        found.left -= spent
        found.gained += gain if call.model == "large" else 0.0
        done = Outcome(call.model, Completion(assistant("yes"), "stop"), Cost(usd=spent))
        assert not isinstance(router.next(query, CARDS, [done], view), Call)
    return found


def priced(gains: Sequence[float], **how: object) -> ShadowPriceRouter:
    estimator = Gains({f"{number}: {gain}": gain for number, gain in enumerate(gains)})
    return ShadowPriceRouter(lambda rate: UtilityRouter(estimator, rate), estimator, **how)  # type: ignore[arg-type]


def stream(order: str) -> list[float]:
    draw = random.Random(3)
    gains = [draw.random() ** 3 * 0.7 for _ in range(COUNT)]
    return gains if order == "shuffled" else sorted(gains, reverse=order == "falling")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("expected", [COUNT, None, 40])
@pytest.mark.parametrize("order", ["shuffled", "rising", "falling"])
def test_the_budget_holds_and_every_query_is_answered(order: str, expected: int | None, share: float) -> None:
    # a fifth above what the cheapest calls cost on average, whose costs are not known beforehand
    budget = COUNT * (1.2 * DOLLARS["small"] + share * (DOLLARS["large"] - DOLLARS["small"])) + 0.02
    found = run(priced(stream(order), expected=expected), stream(order), budget)
    assert found.left >= 0
    # who says 40 of 400, or nothing, may have spent what the last ones needed
    assert expected != COUNT or found.silent == 0


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_it_comes_close_to_hindsight_and_is_better_than_greed(share: float) -> None:
    gains = stream("shuffled")
    calls = round(share * COUNT)
    budget = COUNT * DOLLARS["small"] + calls * (DOLLARS["large"] - DOLLARS["small"])
    best = sum(sorted(gains)[-calls:])
    found = run(priced(gains, expected=COUNT), gains, budget)
    greedy = sum(gains[:calls])
    assert found.gained > greedy + 0.85 * (best - greedy)


def test_a_forecast_is_used_before_anything_was_seen() -> None:
    forecast = [{"small": (0.001, 0.3), "large": (0.01, 0.3 + gain)} for gain in (0.1, 0.2, 0.8, 0.9)]
    router = priced([0.5], expected=100, forecast=forecast)
    view = ScopeView("s", {}, Cost(), Cost(), Cost(), {"usd": round(100 * 0.0045 * NANO)})
    call = router.next(Query("0: 0.5", BOUNDS), CARDS, (), view)
    assert isinstance(call, Call) and call.model == "small"
    assert router.quality_per_usd == pytest.approx(0.8 / 0.009)


def world(seed: int, count: int = COUNT) -> list[float]:
    draw = random.Random(1_000 + seed)  # not what `run` draws costs with
    return [draw.random() ** 3 * 0.7 for _ in range(count)]


def trained(scale: float = 1.0, count: int = COUNT) -> list[Options]:
    return [
        {name: (scale * dollars, 0.3 + gain * (name == "large")) for name, dollars in DOLLARS.items()}
        for gain in world(99, count)
    ]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_on_a_stationary_stream_the_price_is_that_of_hindsight(share: float) -> None:
    count, extra = 1_000, DOLLARS["large"] - DOLLARS["small"]
    for seed in range(2):
        gains = world(seed, count)
        budget = count * (DOLLARS["small"] + share * extra)
        offline = sorted(gains)[-round(share * count)] / extra
        found = run(priced(gains, expected=count, forecast=trained(count=count)), gains, budget, seed)
        assert found.prices[0] == pytest.approx(offline, rel=0.25)
        assert sum(found.prices) / count == pytest.approx(offline, rel=0.15)
        assert found.gained > 0.97 * sum(sorted(gains)[-round(share * count) :])


@given(
    gains=st.lists(st.floats(0.0, 0.7), min_size=1, max_size=60),
    budget=st.floats(0.0, 1.0),
    scale=st.floats(0.01, 100.0),
    expected=st.one_of(st.none(), st.integers(0, 100)),
    spends=st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(0.0, 1.0)), max_size=4),
    held=st.floats(1.0, 50.0),
)
@settings(deadline=None)
def test_whatever_it_was_told_the_budget_holds(
    gains: list[float],
    budget: float,
    scale: float,
    expected: int | None,
    spends: list[tuple[float, float]],
    held: float,
) -> None:
    bounds = {name: Cost(usd=round(held * one["usd"])) for name, one in BOUNDS.items()}
    router = priced(gains, expected=expected, forecast=trained(scale)[:20], spends=spends)
    assert run(router, gains, budget, bounds=bounds).left >= 0


def test_what_a_hold_asks_beyond_its_cost_is_not_planned_to_be_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, gained = COUNT * DOLLARS["small"] + 0.4, {}
    bounds = {"small": BOUNDS["small"], "large": Cost(usd=round(0.2 * NANO))}
    for share in (shadow_price._MOST_HELD, 0.0):
        monkeypatch.setattr(shadow_price, "_MOST_HELD", share)
        streams = [
            run(priced(world(seed), expected=COUNT, forecast=trained()), world(seed), budget, seed, bounds)
            for seed in range(4)
        ]
        gained[share] = sum(found.gained for found in streams)
        assert not any(found.silent for found in streams)
    assert gained[0.5] > 1.03 * gained[0.0]


def test_what_it_would_call_is_asked_without_consequence() -> None:
    """As by a router around it; only calls that were made keep money."""
    bounds = {"small": BOUNDS["small"], "large": Cost(usd=round(0.9 * NANO))}
    left = ScopeView("s", {"usd": NANO}, Cost(), Cost(), Cost(), {"usd": NANO})
    prices = []
    for asked in (0, 5):
        router = priced([0.2] * 40, expected=40)
        for number in range(20):
            query = Query(f"{number}: 0.2", bounds)
            assert isinstance(router.next(query, CARDS, (), left), Call)
            for _ in range(asked):  # the large one fits, is wanted, and is never called
                router.next(query, CARDS, [Outcome("small", None, Cost(), ("thought of",), asked=True)], left)
        prices.append(router.quality_per_usd)
    assert prices[0] == prices[1] and not router._beyond


@dataclass
class Twice:
    """Asks the large model a second time whatever it said, as a cascade that is hard to please does."""

    router: Router

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        again = len(seen) == 1 and seen[0].model == "large" and query.fits("large", view)
        return self.router.next(query, candidates, () if again else seen, view)


def test_a_router_that_calls_several_times_is_priced_by_what_it_spent_in_training() -> None:
    extra, gained = DOLLARS["large"] - DOLLARS["small"], []
    rates = [gain / extra for gain in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    shares = [sum(gain > rate * extra for gain in world(99)) / COUNT for rate in rates]
    spends = [
        (rate, DOLLARS["small"] + share * (2 * DOLLARS["large"] - DOLLARS["small"]))
        for rate, share in zip(rates, shares, strict=True)
    ]
    gains, budget = world(1), COUNT * (DOLLARS["small"] + 0.3 * extra)
    estimator = Gains({f"{number}: {gain}": gain for number, gain in enumerate(gains)})
    for known in (spends, []):
        router = ShadowPriceRouter(
            lambda rate: Twice(UtilityRouter(estimator, rate)),
            estimator,
            expected=COUNT,
            forecast=trained(),
            spends=known,
        )
        left, total = round(budget * NANO), 0.0
        for number, gain in enumerate(gains):
            query, seen = Query(f"{number}: {gain}", BOUNDS), list[Outcome]()
            view = ScopeView("s", {}, Cost(), Cost(), Cost(), {"usd": left})
            while isinstance(call := router.next(query, CARDS, seen, view), Call):
                left -= round(DOLLARS[call.model] * NANO)
                seen.append(Outcome(call.model, Completion(assistant("yes"), "stop"), Cost()))
                view = view._replace(available={"usd": left})
            assert seen and left >= 0
            total += gain if seen[0].model == "large" else 0.0
        gained.append(total)
    best = sum(sorted(gains)[-round(0.3 * COUNT * extra / (2 * DOLLARS["large"] - DOLLARS["small"])) :])
    assert gained[0] > 0.92 * best and gained[0] > 1.02 * gained[1], (gained, best)


@dataclass
class Growing:
    """The last quarter of `count` queries costs five times as much as the others."""

    count: int

    def dollars(self, query: Query, model: str) -> float:
        return DOLLARS[model] * (0.5 if int(query.text) < 0.75 * self.count else 2.5)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        quality = {"small": 0.3, "large": 0.4 + int(query.text) * 37 % 100 / 200}
        costs = [Cost(usd=round(self.dollars(query, c.name) * NANO)) for c in candidates]
        return [Estimate(quality[c.name], 0.1, cost) for c, cost in zip(candidates, costs, strict=True)]


@pytest.mark.parametrize("told", [True, False])
def test_cheap_queries_first_do_not_leave_the_dear_ones_without_an_answer(told: bool) -> None:
    world = Growing(COUNT)
    training = [
        {"small": (dollars, 0.3), "large": (10 * dollars, 0.6)} for dollars in (0.0005, 0.0005, 0.0005, 0.0025)
    ]
    router = ShadowPriceRouter(
        lambda rate: UtilityRouter(world, rate), world, expected=COUNT, forecast=training if told else ()
    )
    left, silent = round(COUNT * (DOLLARS["small"] + 0.1 * DOLLARS["large"]) * NANO), 0
    for number in range(COUNT):
        query = Query(str(number), {name: Cost(usd=round(2.5 * DOLLARS[name] * NANO)) for name in DOLLARS})
        call = router.next(query, CARDS, (), ScopeView("s", {}, Cost(), Cost(), Cost(), {"usd": left}))
        silent += not isinstance(call, Call)
        left -= round(world.dollars(query, call.model) * NANO) if isinstance(call, Call) else 0
    assert left >= 0 and (silent == 0) is told


def test_without_a_limit_in_dollars_quality_alone_counts() -> None:
    router = priced([0.001], expected=10)
    view = ScopeView("s", {}, Cost(), Cost(), Cost(), {"tokens": 5})
    call = router.next(Query("0: 0.001", {"small": Cost(), "large": Cost()}), CARDS, (), view)
    assert isinstance(call, Call) and call.model == "large"


def test_without_a_number_many_more_are_expected_than_were_seen() -> None:
    gains = stream("shuffled")
    router = priced(gains)
    assert router.queries_left == COUNT
    run(router, gains, 1.0)
    assert router.queries_left == 2 * COUNT


@given(
    queries=st.lists(
        st.tuples(
            st.floats(0.0, 0.01), st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.001, 0.1)), max_size=3)
        ),
        min_size=1,
        max_size=12,
    ),
    spend=st.floats(0.0, 0.5),
)
def test_the_price_is_where_the_money_ends(
    queries: list[tuple[float, list[tuple[float, float]]]], spend: float
) -> None:
    price, money = solve(queries, spend), spend * len(queries)
    base = sum(start for start, _ in queries)
    above = base + sum(extra for _, steps in queries for slope, extra in steps if slope > price)
    at_least = base + sum(extra for _, steps in queries for slope, extra in steps if slope >= price)
    if price == CHEAPEST:
        assert base > money
    else:
        assert above <= money + 1e-9
        assert price == 0.0 or at_least > money - 1e-9
