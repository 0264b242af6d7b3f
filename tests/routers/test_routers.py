"""What holds for every router in every situation, and the rules of the one that ships."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import Cost
from agentkit.routers import Call, Outcome, Router, RuleRouter, Stop
from tests.routers.cases import ALL, BOUNDS, CASES, FAILED, INVALID, ROUTERS, VALID, Case, outcome
from tests.scenario import card

Play = Callable[[str], str]


def decide(router: Router, case: Case, play: Play) -> tuple[list[Outcome], Stop]:
    """Let `router` decide until it stops; `play` says how each model's reply turns out."""
    seen: list[Outcome] = []
    for _ in range(3 * len(case.candidates) + 1):
        decision = router.next(case.query, case.candidates, seen, case.view)
        if isinstance(decision, Stop):
            return seen, decision
        seen.append(outcome(decision.model, play(decision.model)))
    raise AssertionError("the router does not stop")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)
@pytest.mark.parametrize("kind", [VALID, INVALID, FAILED])
class TestEveryRouter:
    """Each router, case and kind of outcome."""

    def test_it_only_calls_what_can_be_called(self, router: Router, case: Case, kind: str) -> None:
        seen, _ = decide(router, case, lambda model: kind)
        assert {o.model for o in seen} <= case.callable

    def test_it_calls_something_whenever_it_can(self, router: Router, case: Case, kind: str) -> None:
        seen, stop = decide(router, case, lambda model: kind)
        assert bool(seen) == bool(case.callable)
        assert stop.reason

    def test_it_answers_whenever_there_is_a_reply(self, router: Router, case: Case, kind: str) -> None:
        seen, stop = decide(router, case, lambda model: kind)
        assert (stop.answer is not None) == any(o.completion for o in seen)

    def test_it_decides_the_same_again(self, router: Router, case: Case, kind: str) -> None:
        # some learn on the way
        first, second = (decide(deepcopy(router), case, lambda model: kind) for _ in range(2))
        assert first == second


@given(
    case=st.sampled_from(list(CASES.values())),
    router=st.sampled_from(list(ROUTERS.values())),
    kinds=st.fixed_dictionaries(
        {name: st.sampled_from([VALID, INVALID, FAILED]) for name in ("small", "medium", "large")}
    ),
)
def test_mixed_outcomes(case: Case, router: Router, kinds: dict[str, str]) -> None:
    seen, stop = decide(router, case, kinds.__getitem__)
    if any(o.valid for o in seen):
        assert stop.answer is not None and seen[stop.answer].valid
    if stop.answer is None:
        assert {kinds[o.model] for o in seen} <= {FAILED} and {o.model for o in seen} == case.callable
    else:
        assert seen[stop.answer].completion is not None


# ---------------------------------------------------------------- the rules
def called(case: Case, play: Play, router: Router | None = None) -> list[str]:
    return [o.model for o in decide(router or RuleRouter(), case, play)[0]]


def test_the_cheapest_first_then_up_until_one_is_valid() -> None:
    assert called(CASES["all fit"], lambda model: VALID) == ["small"]
    assert called(CASES["all fit"], lambda model: VALID if model == "large" else INVALID) == [
        "small",
        "medium",
        "large",
    ]
    assert called(CASES["two fit"], lambda model: INVALID) == ["small", "medium"]


def test_a_model_that_was_weak_in_this_step_is_passed_over() -> None:
    assert called(CASES["one was weak"], lambda model: VALID) == ["medium"]
    assert called(CASES["all were weak"], lambda model: INVALID) == ["large"]
    assert called(CASES["the only one that fits was weak"], lambda model: VALID) == ["small"]


def test_the_weak_are_asked_again_when_nothing_else_replies() -> None:
    assert called(CASES["all were weak"], lambda model: FAILED) == ["large", "medium", "small"]
    assert called(CASES["one was weak"], lambda model: FAILED) == ["medium", "large", "small"]


def test_the_best_of_the_invalid_is_the_strongest_models() -> None:
    seen, stop = decide(RuleRouter(), CASES["all fit"], lambda model: INVALID)
    assert stop.answer is not None and seen[stop.answer].model == "large"


def test_a_given_order_is_kept_and_leaves_out_whom_it_does_not_name() -> None:
    router = RuleRouter(["large", "small"])
    assert called(CASES["all fit"], lambda model: INVALID, router) == ["large", "small"]
    router = RuleRouter(["large"], others=True)
    assert called(CASES["all fit"], lambda model: INVALID, router) == ["large", "small", "medium"]


def test_an_unknown_price_is_tried_last() -> None:
    bounds = {"unknown": Cost(), **BOUNDS}
    case = Case((card("unknown", None), *ALL), tuple(bounds.items()))
    assert called(case, lambda model: INVALID)[-1] == "unknown"


def test_reasons_say_why() -> None:
    case = CASES["all fit"]
    first = RuleRouter().next(case.query, case.candidates, [], case.view)
    assert first == Call("small", "the cheapest that fits")
    second = RuleRouter().next(case.query, case.candidates, [outcome("small", INVALID)], case.view)
    assert second == Call("medium", "small: it is wrong")
