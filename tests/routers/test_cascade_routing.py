"""Cascade routing: who is called at which price of quality, and which answer is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from agentkit.costs import Cost
from agentkit.messages import Message, ToolCall, assistant
from agentkit.routers import Call, Estimate, Outcome, Query, Stop
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.reservation import Likelihoods
from agentkit.types import Completion, ModelCard, ScopeView
from tests.scenario import card

SMALL, LARGE = card("small", "1"), card("large", "10")
BOUNDS = {"small": Cost(usd=1_000), "large": Cost(usd=10_000)}
VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
COSTS = {"small": 1_000_000, "large": 10_000_000}  # a tenth of a cent and a cent


@dataclass(frozen=True)
class Told:
    """Says 0.6 and 0.9 for small and large, and believes a reply as far as its text says."""

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        quality = {"small": 0.6, "large": 0.9}
        return [Estimate(quality[card.name], 0.1, Cost(usd=COSTS[card.name])) for card in candidates]

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        return [float(outcome.completion.message.text) if outcome.completion else 0.0 for outcome in seen]

    def likelihoods(self, model: str) -> Likelihoods:
        return [(0.9, 0.1), (0.1, 0.9)]


def outcome(model: str, belief: str | None, *problems: str) -> Outcome:
    completion = None if belief is None else Completion(assistant(belief), "stop")
    return Outcome(model, completion, Cost(usd=1), problems)


def decide(rate: float, *seen: Outcome, view: ScopeView = VIEW) -> Call | Stop:
    return CascadeRouter(Told(), rate).next(Query("q", BOUNDS), (SMALL, LARGE), seen, view)


@pytest.mark.parametrize(("rate", "model"), [(0.0, "large"), (5.0, "large"), (50.0, "small"), (1e6, "small")])
def test_the_price_of_quality_decides_who_is_first(rate: float, model: str) -> None:
    call = decide(rate)
    assert isinstance(call, Call) and call.model == model


@pytest.mark.parametrize(
    ("belief", "rate", "model"), [("0.3", 20.0, "large"), ("0.95", 20.0, None), ("0.3", 100.0, None)]
)
def test_an_answer_is_doubted_while_that_pays(belief: str, rate: float, model: str | None) -> None:
    decision = decide(rate, outcome("small", belief))
    assert (decision.model if isinstance(decision, Call) else None) == model


def test_the_answer_believed_in_most_is_taken() -> None:
    decision = decide(0.0, outcome("small", "0.8"), outcome("large", "0.4"))
    assert isinstance(decision, Stop) and decision.answer == 0
    valid = decide(0.0, outcome("small", "0.8", "it is wrong"), outcome("large", "0.4"))
    assert isinstance(valid, Stop) and valid.answer == 1


def test_an_invalid_answer_is_worth_nothing_in_hand() -> None:
    decision = decide(80.0, outcome("small", "0.99", "it is wrong"))
    assert isinstance(decision, Call) and decision.model == "large"


def test_what_does_not_fit_is_not_called() -> None:
    tight = VIEW._replace(limits={"usd": 5_000}, available={"usd": 5_000})
    first = decide(0.0, view=tight)
    assert isinstance(first, Call) and first.model == "small"
    assert decide(0.0, outcome("small", "0.1"), view=tight) == Stop(0, "no other model can be called")


def test_it_stops_after_the_most_replies() -> None:
    router = CascadeRouter(Told(), most=1)
    query = Query("q", BOUNDS)
    assert isinstance(router.next(query, (SMALL, LARGE), [outcome("small", "0.1")], VIEW), Stop)
    assert isinstance(router.next(query, (SMALL, LARGE), [outcome("small", None)], VIEW), Call)


def test_a_call_of_tools_is_not_judged() -> None:
    calls = Completion(Message("assistant", "0.1", (ToolCall("1", "add", "{}"),)), "tool_calls")
    assert decide(0.0, Outcome("small", calls, Cost(usd=1))) == Stop(
        0, "a call of tools is no answer to judge yet"
    )
    doubted = decide(0.0, Outcome("small", calls, Cost(usd=1), ("there is no such tool",)))
    assert isinstance(doubted, Call) and doubted.model == "large"


def test_calls_of_tools_are_judged_by_a_verifier_that_has_learnt_to() -> None:
    said = Message("assistant", "0.1", (ToolCall("1", "find_order", "{}"),))
    seen = [Outcome("small", Completion(said, "tool_calls"), Cost(usd=1))]
    for judges, kind in ((False, Stop), (True, Call)):
        router = CascadeRouter(Told(), 0.0, judges_calls=judges)
        assert isinstance(router.next(Query("q", BOUNDS), (SMALL, LARGE), seen, VIEW), kind)
