"""A price of time and hard constraints: choices lie on the Pareto front, and no constraint is ever passed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import NANO, Cost
from agentkit.errors import ConfigError
from agentkit.messages import assistant
from agentkit.routers import Call, Estimate, Outcome, Query, Stop, UtilityRouter
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.preferences import Preferences, pareto_front
from agentkit.routers.reservation import Likelihoods
from agentkit.types import Capabilities, Completion, ModelCard, ScopeView
from tests.scenario import card

VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})


@dataclass(frozen=True)
class Told:
    """Knows what it is told, and believes every reply a little."""

    known: dict[str, Estimate]

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        return [self.known[card.name] for card in candidates]

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        return [0.1] * len(seen)

    def likelihoods(self, model: str) -> Likelihoods:
        return [(0.9, 0.1), (0.1, 0.9)]


def estimate(quality: float, milli: int, seconds: float | None) -> Estimate:
    return Estimate(quality, 0.1, Cost(usd=milli * NANO // 1_000), seconds)


THREE = {
    "quick": estimate(0.5, 2, 1.0),
    "cheap": estimate(0.6, 1, 10.0),
    "good": estimate(0.9, 9, 20.0),
}
CARDS = tuple(card(name, "1") for name in THREE)
BOUNDS = {name: one.cost for name, one in THREE.items()}
QUERY = Query("q", BOUNDS)


def chosen(preferences: Preferences, rate: float = 0.0, seen: Sequence[Outcome] = ()) -> str | None:
    decision = UtilityRouter(Told(THREE), rate, preferences=preferences).next(QUERY, CARDS, seen, VIEW)
    return decision.model if isinstance(decision, Call) else None


def failed(model: str, milli: int, seconds: float) -> Outcome:
    return Outcome(model, None, Cost(usd=milli * NANO // 1_000), ("gone",), "down", seconds)


@pytest.mark.parametrize(
    ("second", "rate", "model"),
    [(0.0, 0.0, "good"), (0.01, 0.0, "good"), (0.03, 0.0, "quick"), (0.0, 60.0, "cheap"), (0.005, 60.0, "cheap")],
)
def test_the_weights_decide(second: float, rate: float, model: str) -> None:
    assert chosen(Preferences(second), rate) == model


def test_constraints_hold_whatever_the_weights() -> None:
    assert chosen(Preferences(usd=0.008)) == "cheap"
    assert chosen(Preferences(seconds=5.0)) == "quick"
    assert chosen(Preferences(usd=0.0005)) is None
    assert chosen(Preferences(seconds=30.0)) == "good"
    assert chosen(Preferences(needs=frozenset({"prefill"}))) is None
    able = replace(CARDS[1], capabilities=Capabilities(json_schema=True))
    router = UtilityRouter(Told(THREE), preferences=Preferences(needs=frozenset({"json_schema"})))
    decision = router.next(QUERY, (CARDS[0], able, CARDS[2]), (), VIEW)
    assert isinstance(decision, Call) and decision.model == "cheap"


def test_earlier_calls_of_the_query_count() -> None:
    assert chosen(Preferences(usd=0.010), seen=[failed("cheap", 1, 3.0)]) == "good"
    assert chosen(Preferences(usd=0.010), seen=[failed("cheap", 2, 3.0)]) == "quick"
    assert chosen(Preferences(seconds=20.0), seen=[failed("cheap", 1, 3.0)]) == "quick"


def test_what_is_unknown_keeps_to_no_limit() -> None:
    known = {**THREE, "good": replace(THREE["good"], seconds=None)}
    for preferences, model in ((Preferences(), "good"), (Preferences(seconds=1e9), "cheap")):
        decision = UtilityRouter(Told(known), preferences=preferences).next(QUERY, CARDS, (), VIEW)
        assert isinstance(decision, Call) and decision.model == model
    unpriced = (CARDS[0], CARDS[1], card("good", None))
    query = Query("q", {**BOUNDS, "good": Cost(requests=1)})
    decision = UtilityRouter(Told(THREE), preferences=Preferences(usd=1.0)).next(query, unpriced, (), VIEW)
    assert isinstance(decision, Call) and decision.model == "cheap"


def test_a_cascade_keeps_to_them_too() -> None:
    router = CascadeRouter(Told(THREE), preferences=Preferences(seconds=25.0))
    first = router.next(QUERY, CARDS, (), VIEW)
    assert isinstance(first, Call) and first.model == "good"
    reply = Outcome("good", Completion(assistant("so"), "stop"), BOUNDS["good"], seconds=21.0)
    then = router.next(QUERY, CARDS, [reply], VIEW)
    assert isinstance(then, Call) and then.model == "quick"
    late = replace(reply, seconds=24.5)
    assert isinstance(router.next(QUERY, CARDS, [late], VIEW), Stop)
    dear = CascadeRouter(Told(THREE), preferences=Preferences(0.05)).next(QUERY, CARDS, (), VIEW)
    assert isinstance(dear, Call) and dear.model == "quick"


@pytest.mark.parametrize("wrong", [{"usd": -1.0}, {"seconds": float("nan")}, {"quality_per_second": -0.1}])
def test_a_preference_below_nought_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be 0 or more"):
        Preferences(**wrong)  # type: ignore[arg-type]


def test_a_capability_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no capability 'json'; there are .*json_schema"):
        Preferences(needs=frozenset({"json"}))


POINTS = st.lists(
    st.builds(
        estimate, st.sampled_from([0.1, 0.4, 0.7]), st.integers(1, 4), st.sampled_from([1.0, 2.0, 4.0, None])
    ),
    min_size=1,
    max_size=6,
)


@given(points=POINTS, rate=st.floats(0.1, 100), second=st.floats(0.001, 0.2))
def test_any_weights_choose_from_the_front(points: list[Estimate], rate: float, second: float) -> None:
    known = {f"m{number}": one for number, one in enumerate(points)}
    cards = tuple(card(name, "1") for name in known)
    router = UtilityRouter(Told(known), rate, preferences=Preferences(second))
    query = Query("q", {name: one.cost for name, one in known.items()})
    decision = router.next(query, cards, (), VIEW)
    front = router.front(query, cards, VIEW)
    assert isinstance(decision, Call) and decision.model in front
    # against all comparisons: on the front is whoever is strictly better somewhere, next to anyone else
    late = max((one.seconds for one in points if one.seconds is not None), default=0.0)
    flat = {n: (o.quality, -o.cost["usd"], -(late if o.seconds is None else o.seconds)) for n, o in known.items()}
    for name, mine in flat.items():
        better = all(
            theirs == mine or any(a > b for a, b in zip(mine, theirs, strict=True)) for theirs in flat.values()
        )
        assert (name in front) == better


def test_the_front_leaves_out_what_is_not_allowed() -> None:
    assert set(pareto_front(THREE)) == set(THREE)
    router = UtilityRouter(Told(THREE), preferences=Preferences(usd=0.005))
    assert set(router.front(QUERY, CARDS, VIEW)) == {"quick", "cheap"}
    assert pareto_front({**THREE, "worse": estimate(0.5, 3, 1.0)}) == tuple(THREE)
