"""Utility routing: who is called at which price of quality, and what happens to replies that do not validate."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from agentkit.costs import Cost
from agentkit.messages import assistant
from agentkit.routers import Call, Estimate, Outcome, Query, Stop, UtilityRouter
from agentkit.routers.mixed import MixedRouter
from agentkit.types import Completion, ModelCard, ScopeView
from tests.scenario import card

SMALL, LARGE = card("small", "1"), card("large", "10")
BOUNDS = {"small": Cost(usd=1_000), "large": Cost(usd=10_000)}
VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})


@dataclass(frozen=True)
class Told:
    """An estimator that says what it is told; a tenth of a cent and a cent a call."""

    qualities: tuple[float, float] = (0.6, 0.9)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        known = {
            "small": Estimate(self.qualities[0], 0.1, Cost(usd=1_000_000)),
            "large": Estimate(self.qualities[1], 0.1, Cost(usd=10_000_000)),
        }
        return [known[card.name] for card in candidates]


def outcome(model: str, *problems: str, reply: bool = True) -> Outcome:
    completion = Completion(assistant("yes"), "stop") if reply else None
    return Outcome(model, completion, Cost(usd=1), problems)


@pytest.mark.parametrize(("rate", "chosen"), [(0.0, "large"), (33.0, "large"), (34.0, "small"), (1e6, "small")])
def test_the_price_of_quality_decides(rate: float, chosen: str) -> None:
    decision = UtilityRouter(Told(), rate).next(Query("q", BOUNDS), (SMALL, LARGE), (), VIEW)
    assert isinstance(decision, Call) and decision.model == chosen
    assert "expected quality" in decision.reason


def test_of_equals_the_cheaper_is_called() -> None:
    decision = UtilityRouter(Told((0.7, 0.7))).next(Query("q", BOUNDS), (LARGE, SMALL), (), VIEW)
    assert isinstance(decision, Call) and decision.model == "small"


def test_what_does_not_fit_is_not_called() -> None:
    tight = VIEW._replace(limits={"usd": 5_000}, available={"usd": 5_000})
    decision = UtilityRouter(Told()).next(Query("q", BOUNDS), (SMALL, LARGE), (), tight)
    assert isinstance(decision, Call) and decision.model == "small"


@pytest.mark.parametrize(
    ("rate", "next_model"),
    [(0.0, "large"), (89.0, "large"), (91.0, None)],
)
def test_an_invalid_reply_is_followed_up_while_that_is_worth_its_cost(rate: float, next_model: str | None) -> None:
    seen = [outcome("small", "it is wrong")]
    decision = UtilityRouter(Told(), rate).next(Query("q", BOUNDS), (SMALL, LARGE), seen, VIEW)
    if next_model:
        assert isinstance(decision, Call) and decision.model == next_model
    else:
        assert decision == Stop(0, "no other model is worth its cost")


def test_a_model_that_fell_silent_is_followed_up_at_any_price() -> None:
    decision = UtilityRouter(Told(), 1e6).next(
        Query("q", BOUNDS), (SMALL, LARGE), [outcome("small", "gone", reply=False)], VIEW
    )
    assert isinstance(decision, Call) and decision.model == "large"


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_draw_sends_its_share_and_always_the_same_way(share: float) -> None:
    router = MixedRouter(UtilityRouter(Told()), UtilityRouter(Told(), 1e6), share)
    queries = [Query(f"question {n}", BOUNDS) for n in range(600)]
    first, again = ([router.next(query, (SMALL, LARGE), (), VIEW) for query in queries] for _ in range(2))
    assert first == again
    sent = sum(isinstance(decision, Call) and decision.model == "large" for decision in first)
    assert sent / len(queries) == pytest.approx(share, abs=0.05)
