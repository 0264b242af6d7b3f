"""A hard budget over a stream: never passed, always an answer, and spent where it gains most, in any order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import NANO, Cost
from agentkit.messages import assistant
from agentkit.routers import Call, Estimate, Outcome, Query, Router, UtilityRouter
from agentkit.routers.shadow_price import CHEAPEST, ShadowPriceRouter, solve
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
    """What came of a stream: gain in all, dollars left, and queries without an answer."""

    gained: float = 0.0
    left: int = 0
    silent: int = 0


def run(router: Router, gains: Sequence[float], budget: float, seed: int = 0) -> Stream:
    draw, found = random.Random(seed), Stream(left=round(budget * NANO))
    for number, gain in enumerate(gains):
        view = ScopeView("s", {"usd": found.left}, Cost(), Cost(), Cost(), {"usd": found.left})
        query = Query(f"{number}: {gain}", BOUNDS)
        call = router.next(query, CARDS, (), view)
        if not isinstance(call, Call):
            found.silent += 1
            continue
        spent = round(DOLLARS[call.model] * draw.uniform(0.5, 1.5) * NANO)
        assert BOUNDS[call.model]["usd"] <= found.left
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
    forecast = [[(0.001, 0.3), (0.01, 0.3 + gain)] for gain in (0.1, 0.2, 0.8, 0.9)]
    router = priced([0.5], expected=100, forecast=forecast)
    view = ScopeView("s", {}, Cost(), Cost(), Cost(), {"usd": round(100 * 0.0045 * NANO)})
    call = router.next(Query("0: 0.5", BOUNDS), CARDS, (), view)
    assert isinstance(call, Call) and call.model == "small"
    assert router.quality_per_usd == pytest.approx(0.8 / 0.009)


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
    training = [[(dollars, 0.3), (10 * dollars, 0.6)] for dollars in (0.0005, 0.0005, 0.0005, 0.0025)]
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
