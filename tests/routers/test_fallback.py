"""Fallbacks: which model a failure of which kind leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.agent import Agent
from agentkit.backends.fake import Reply, ScriptedBackend
from agentkit.costs import Cost
from agentkit.errors import BadRequest, ConfigError, ContentRefused, ContextOverflow, FailureKind
from agentkit.messages import assistant
from agentkit.routers import Call, FallbackRouter, Outcome, Query, RuleRouter, Stop
from agentkit.routers.fallback import TRIGGERS, Trigger
from agentkit.types import Completion, ModelCard, ScopeView
from tests.scenario import ANSWER, TASK, agent, card

FREE = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
CARDS = (
    card("small", "1", context_window=1_000),
    card("medium", "2", context_window=1_000),
    card("long", "4", context_window=9_000),
    ModelCard("other", "elsewhere", "other", card("other", "5").price, context_window=1_000),
)
BOUNDS = {each.name: Cost(usd=10 * place + 10) for place, each in enumerate(CARDS)}


def failed(model: str, error: FailureKind | None) -> Outcome:
    return Outcome(model, None, Cost(), ("it failed",), error)


def next_call(
    fallbacks: Mapping[Trigger, Sequence[str]],
    *seen: Outcome,
    reserves: frozenset[str] = frozenset(),
    bounds: Mapping[str, Cost] = BOUNDS,
    view: ScopeView = FREE,
) -> str | None:
    router = FallbackRouter(RuleRouter(), fallbacks, reserves=reserves)
    decision = router.next(Query("task", dict(bounds)), CARDS, seen, view)
    return decision.model if isinstance(decision, Call) else None


def test_the_kind_of_failure_names_the_next_model() -> None:
    by_kind: dict[Trigger, list[str]] = {"context": ["long"], "overloaded": ["other", "long"], "any": ["medium"]}
    assert next_call(by_kind, failed("small", "context")) == "long"
    assert next_call(by_kind, failed("small", "overloaded")) == "other"
    assert next_call(by_kind, failed("small", "overloaded"), failed("other", "overloaded")) == "long"
    assert next_call(by_kind, failed("small", "down")) == "medium"


def test_without_a_failure_and_after_the_last_fallback_the_router_decides() -> None:
    assert next_call({"any": ["other"]}) == "small"
    assert next_call({"any": ["other"]}, failed("small", "down"), failed("other", "down")) == "medium"
    assert next_call({"any": ["other"]}, failed("small", None)) == "medium"  # an invalid reply is no failure


def test_what_does_not_fit_the_budget_is_no_fallback() -> None:
    poor = FREE._replace(available={"usd": 25})
    assert next_call({"down": ["other", "medium"]}, failed("small", "down"), view=poor) == "medium"


def test_models_in_reserve_are_called_as_fallbacks_only() -> None:
    only = frozenset({"medium", "long", "other"})
    assert next_call({}, reserves=only) == "small"
    assert next_call({"context": ["long"]}, failed("small", "down"), reserves=only) is None
    assert next_call({"down": ["long"]}, failed("small", "down"), reserves=only) == "long"


def test_where_nothing_but_fallbacks_is_left_they_are_what_is_called() -> None:
    assert next_call({"down": ["other"]}, reserves=frozenset(BOUNDS)) == "small"


def test_a_prompt_that_fits_no_usual_window_goes_to_the_fallback_unasked() -> None:
    reserves = frozenset({"long"})
    assert next_call({"context": ["long"]}, reserves=reserves, bounds={"long": Cost(usd=9)}) == "long"
    assert next_call({"down": ["long"]}, reserves=reserves, bounds={"long": Cost(usd=9)}) is None


def test_a_prompt_that_was_too_long_goes_to_larger_windows_only() -> None:
    assert next_call({}, failed("small", "context")) == "long"
    assert next_call({}, failed("small", "context"), failed("long", "context")) is None


def test_refused_content_goes_to_another_provider_while_there_is_one() -> None:
    assert next_call({}, failed("small", "refused")) == "other"
    assert next_call({}, failed("small", "refused"), failed("other", "down")) == "medium"


@given(
    st.dictionaries(st.sampled_from(TRIGGERS), st.lists(st.sampled_from(sorted(BOUNDS)), max_size=3), max_size=4),
    st.lists(st.sampled_from([*(t for t in TRIGGERS if t != "any"), None, "valid"]), min_size=4, max_size=4),
)
def test_it_stops_and_calls_nobody_twice(fallbacks: dict[Trigger, list[str]], kinds: list[str | None]) -> None:
    router, seen = FallbackRouter(RuleRouter(), fallbacks), list[Outcome]()
    for _ in range(len(CARDS) + 1):
        decision = router.next(Query("task", dict(BOUNDS)), CARDS, seen, FREE)
        if isinstance(decision, Stop):
            break
        assert decision.model not in {outcome.model for outcome in seen}
        kind = kinds[len(seen)]
        reply = Outcome(decision.model, Completion(assistant("x"), "stop"), Cost())
        seen.append(reply if kind == "valid" else failed(decision.model, kind))  # type: ignore[arg-type]
    else:
        raise AssertionError("the router does not stop")
    if seen and seen[-1].valid:
        assert decision.answer == len(seen) - 1


# ---------------------------------------------------------------- in an agent
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (ContextOverflow("small", 9, 8), "long"),
        (ContentRefused("small", "no"), "other"),
        (BadRequest("small", "no credit"), "spare"),
        (Completion(assistant("I am af"), "content_filter"), "other"),
    ],
)
async def test_an_agent_falls_back_by_kind(failure: Reply, asked: str) -> None:
    small = ScriptedBackend(failure, card=card("small"))
    others = {name: ScriptedBackend(ANSWER, card=card(name)) for name in ("long", "other", "spare")}
    subject = agent(
        small,
        tools=(),
        fallbacks={"context": [others["long"]], "refused": [others["other"]], "any": [others["spare"]]},
    )
    answer = await subject.run(TASK)
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert [name for name, backend in others.items() if backend.requests] == [asked]


@pytest.mark.anyio
async def test_a_fallback_is_not_called_while_all_is_well() -> None:
    dear, cheap = ScriptedBackend(ANSWER, card=card("dear", "9")), ScriptedBackend(ANSWER, card=card("cheap"))
    await agent(dear, tools=(), fallbacks={"down": [cheap]}).run(TASK)
    assert cheap.requests == []


def test_a_fallback_may_name_a_model_of_the_agent() -> None:
    small, large = (ScriptedBackend(ANSWER, card=card(name)) for name in ("small", "large"))
    subject = Agent([small, large], fallbacks={"down": ["large"]})
    assert isinstance(subject.router, FallbackRouter)
    assert subject.router.fallbacks == {"down": ("large",)} and not subject.router.reserves


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="a fallback is for rate_limited, .*any, not 'slow'"):
        Agent(ScriptedBackend("x"), fallbacks={"slow": ["x"]})  # type: ignore[dict-item]
