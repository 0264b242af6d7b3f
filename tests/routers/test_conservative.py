"""New models: whatever they do, answers are worth (1 − α) of what the usual router was expected to give."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.messages import assistant
from agentkit.routers import Call, Estimate, Outcome, Query, RuleRouter
from agentkit.routers.conservative import ConservativeRouter
from agentkit.types import Completion, ModelCard, ScopeView
from tests.scenario import card

VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
CARDS = (card("usual", "1"), card("new", "3"))
BOUNDS = {"usual": Cost(usd=1_000), "new": Cost(usd=3_000)}


@dataclass
class Expected:
    """Expects of the usual model what the query says, of the new one what its card promises."""

    promised: float = 0.7
    cost: dict[str, int] = field(default_factory=lambda: {"usual": 0, "new": 0})

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        known = {"usual": float(query.text), "new": self.promised}
        return [Estimate(known[c.name], 0.2, Cost(usd=self.cost[c.name])) for c in candidates]


def outcome(model: str, *problems: str, reply: bool = True) -> Outcome:
    return Outcome(model, Completion(assistant("so"), "stop") if reply else None, Cost(), problems)


@dataclass
class Stream:
    """Routes queries one by one, and keeps who was called first and what was answered."""

    worth: float
    most_loss: float = 0.1
    expected: Expected = field(default_factory=Expected)
    rate: float = 0.0
    first: list[str] = field(default_factory=list)
    answered: float = 0.0
    usual: float = 0.0

    def __post_init__(self) -> None:
        self.router = ConservativeRouter(
            RuleRouter(["usual"]),
            self.expected,
            {"new"},
            lambda query, outcome: self.worth,
            most_loss=self.most_loss,
            quality_per_usd=self.rate,
        )

    def ask(self, usual: float, worth: float | None = None, broken: bool = False) -> None:
        self.worth = self.worth if worth is None else worth
        query = Query(str(usual), BOUNDS)
        seen: list[Outcome] = []
        while isinstance(call := self.router.next(query, CARDS, seen, VIEW), Call):
            seen.append(outcome(call.model, *(["no"] if broken and call.model == "new" else [])))
        self.first.append(seen[0].model)
        self.usual += usual
        self.answered += self.worth if seen[0].model == "new" else usual


@given(
    steps=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=60),
    most_loss=st.floats(0, 1),
    promised=st.floats(0, 1),
)
def test_the_guarantee(steps: list[tuple[float, float, bool]], most_loss: float, promised: float) -> None:
    stream = Stream(0.0, most_loss, Expected(promised))
    for usual, worth, broken in steps:
        stream.ask(usual, worth, broken)
        assert stream.answered >= (1 - most_loss) * stream.usual - 1e-9
        assert stream.router.balance == pytest.approx(stream.answered - (1 - most_loss) * stream.usual, abs=1e-9)


def test_an_answer_that_never_came_back_counts_as_nothing() -> None:
    router = Stream(1.0, 0.5).router
    calls = [router.next(Query("0.6", BOUNDS), CARDS, (), VIEW) for _ in range(200)]
    trials = sum(isinstance(call, Call) and call.model == "new" for call in calls)
    assert 0 < trials and router.balance >= 0
    assert router.balance == pytest.approx(200 * 0.5 * 0.6 - trials * 0.6)


def test_one_that_does_well_takes_over_and_one_that_does_not_is_given_up() -> None:
    draw, good, bad = random.Random(0), Stream(0.0), Stream(0.0)
    for _ in range(300):
        good.ask(0.6, float(draw.random() < 0.9))
        bad.ask(0.6, float(draw.random() < 0.2))
    assert good.first[100:].count("new") > 190 and good.answered > good.usual
    assert bad.first[150:].count("new") < 8 and bad.answered >= 0.9 * bad.usual


def test_without_anything_to_lose_nothing_is_tried() -> None:
    stream = Stream(1.0, most_loss=0.0)
    for _ in range(50):
        stream.ask(0.6)
    assert "new" not in stream.first


def test_what_it_costs_counts() -> None:
    dear = Expected(0.9, {"usual": 0, "new": 10_000_000})
    stream = Stream(0.9, 0.5, dear, rate=50.0)  # half a point of quality for what it costs more
    for _ in range(100):
        stream.ask(0.6)
    assert stream.first.count("new") < 10


def test_a_trial_that_does_not_validate_is_followed_up() -> None:
    stream = Stream(0.8, 1.0)
    router, query = stream.router, Query("0.1", BOUNDS)
    assert router.next(query, CARDS, (), VIEW) == Call("new", "a trial; the balance of quality is 0.00")
    then = router.next(query, CARDS, [outcome("new", "no")], VIEW)
    assert isinstance(then, Call) and then.model == "usual"


def test_one_whose_replies_never_validate_is_given_up() -> None:
    stream = Stream(0.9)
    for _ in range(300):
        stream.ask(0.6, broken=True)
    assert 0 < stream.first.count("new") and stream.first[150:].count("new") < 8


def test_the_new_one_is_the_last_resort() -> None:
    stream = Stream(0.8, 0.0)
    seen = [outcome("usual", "gone", reply=False)]
    stream.router.next(Query("0.5", BOUNDS), CARDS, (), VIEW)
    then = stream.router.next(Query("0.5", BOUNDS), CARDS, seen, VIEW)
    assert then == Call("new", "no usual model can be called")
    stream.router.next(Query("0.5", BOUNDS), CARDS, [*seen, outcome("new")], VIEW)
    assert stream.router.balance == 0  # the query counts once


def test_a_share_is_a_share() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ConservativeRouter(RuleRouter(), Expected(), {"new"}, lambda query, outcome: 1.0, most_loss=1.5)
