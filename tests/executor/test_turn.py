"""A turn: escalation from a small model to a large one, failing over, and the caps that are sent."""

import json
from collections.abc import Sequence

import pytest

from agentkit.backends.fake import Faulty, Reply, ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    NoEligibleModel,
    RateLimited,
    RoutingError,
    Unreachable,
)
from agentkit.executor.offer import LEAST_OUTPUT
from agentkit.executor.resilience import Resilience
from agentkit.executor.turn import DEFAULT_OUTPUT
from agentkit.messages import ToolCall, assistant, user
from agentkit.routers import Call, Decision, Outcome, Stop
from agentkit.routers.base import Ask
from agentkit.routers.fastest import FastestRouter, Posterior
from agentkit.trace import Retried, Routed, Verified
from agentkit.types import Capabilities, Completion, Request
from tests.scenario import ANSWER, TASK, agent, card, check_answer, check_books

pytestmark = pytest.mark.anyio

ONCE = Resilience(retry=RetryPolicy.never())

GOOD = calls(("find_order", {"number": 7}))
MALFORMED = Completion(assistant("", (ToolCall("", "find_order", '{"number": '),)), "tool_calls")
BAD_CALLS = {
    "unknown tool": calls(("find_ordr", {"number": 7})),
    "bad arguments": calls(("find_order", {"number": "seven"})),
    "malformed": MALFORMED,
    "one of two": calls(("find_order", {"number": 7}), ("find_order", {})),
}


def pico_and_nano(pico: list[Reply], nano: list[Reply]) -> tuple[ScriptedBackend, ScriptedBackend]:
    return ScriptedBackend(pico, card=card("pico")), ScriptedBackend(nano, card=card("nano", "5"))


@pytest.mark.parametrize("reply", BAD_CALLS.values(), ids=BAD_CALLS)
async def test_a_call_that_does_not_validate_escalates_and_sticks(reply: Completion) -> None:
    pico, nano = pico_and_nano([reply], [GOOD, ANSWER])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent([nano, pico]).run(TASK, budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, pico, nano, exact=True)
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert (len(pico.requests), len(nano.requests)) == (1, 2)  # the next turn does not go back to pico
    verified = [e.event for e in answer.trace if isinstance(e.event, Verified)]
    assert [(event.model, bool(event.problems)) for event in verified] == [
        ("pico", True),
        ("nano", False),
        ("nano", False),
    ]
    assert [e.event.step for e in answer.trace if isinstance(e.event, Retried)] == ["main"]


async def test_a_router_is_told_how_long_calls_took() -> None:
    late = BackendTimeout("pico", "total", 1.0)
    slow = ScriptedBackend(ANSWER, card=card("nano"), delay=0.01)
    router = FastestRouter()
    router.known["nano"] = Posterior()  # so that the other one is called first
    answer = await agent([ScriptedBackend(late, card=card("pico")), slow], router=router, resilience=ONCE).run(
        TASK
    )
    assert answer.text == ANSWER
    routed = [event.event for event in answer.trace if isinstance(event.event, Routed) and event.event.model]
    assert [event.model for event in routed] == ["pico", "nano"]
    assert router.known["nano"].mean[0] < Posterior().mean[0]  # a fraction of a second, and not the usual five


async def test_what_was_rejected_does_not_reach_the_conversation() -> None:
    pico, nano = pico_and_nano([BAD_CALLS["unknown tool"]], [GOOD, ANSWER])
    answer = await agent([nano, pico]).run(TASK)
    names = [call.name for message in answer.messages for call in message.tool_calls]
    assert names == ["find_order"]


async def test_when_no_model_is_left_the_error_is_shown_to_the_model() -> None:
    pico, nano = pico_and_nano([BAD_CALLS["bad arguments"]], [BAD_CALLS["bad arguments"], ANSWER])
    answer = await agent([nano, pico]).run(TASK)
    assert answer.text == ANSWER and len(nano.requests) == 2
    assert "arguments of 'find_order' are wrong" in nano.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("error", "requests"),
    [
        (BackendUnavailable("pico", "gone"), 1),
        (Unreachable("pico", "cannot be reached"), 1),
        (RateLimited("pico", "slow down"), 1),
        (BadRequest("pico", "no"), 1),
    ],
)
async def test_an_error_falls_over_to_the_next_model(error: Exception, requests: int) -> None:
    pico, nano = pico_and_nano([error], [ANSWER])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent([nano, pico], resilience=ONCE).run(TASK, scope=scope)
        await check_books(ledger, scope, pico, nano)
    assert answer.text == ANSWER and len(pico.requests) == requests
    failed = next(receipt for receipt in answer.receipts if receipt.what == "model:pico")
    if type(error) is BackendUnavailable:
        assert failed.charged == failed.held  # it may have been billed
    else:
        assert failed.charged == Cost(requests=1)


async def test_a_model_that_was_weak_still_serves_when_the_stronger_one_breaks() -> None:
    pico, nano = pico_and_nano(
        [BAD_CALLS["bad arguments"], GOOD, ANSWER], [GOOD, *[BackendUnavailable("nano", "gone")] * 2]
    )
    answer = await agent([nano, pico], resilience=ONCE).run(TASK)
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert (len(pico.requests), len(nano.requests)) == (3, 3)


async def test_when_all_fail_the_last_error_is_raised() -> None:
    pico, nano = pico_and_nano([RateLimited("pico", "slow")], [BackendUnavailable("nano", "gone")])
    with pytest.raises(BackendUnavailable, match="nano"):
        await agent([nano, pico], resilience=ONCE).run(TASK)


async def test_a_break_in_the_stream_falls_over() -> None:
    pico = ScriptedBackend(Faulty("some words here", fail_after=1), card=card("pico"))
    nano = ScriptedBackend(ANSWER, card=card("nano", "5"))
    async with agent([pico, nano]).stream(TASK) as events:
        seen = [event async for event in events]
    assert seen[-1].text == ANSWER  # type: ignore[union-attr]  # the last one is the answer


# ---------------------------------------------------------------- what is sent
async def test_the_cap_shrinks_to_what_the_budget_affords() -> None:
    caps = []
    for tokens in range(100, 2_000, 100):
        backend = ScriptedBackend("Yes.")
        answer = await agent(backend, tools=()).run(TASK, budget=Budget(tokens=tokens))
        check_answer(answer)
        if answer.status == "complete":
            caps.append(backend.requests[0].max_output_tokens)
    assert caps == sorted(caps) and caps[-1] == DEFAULT_OUTPUT and caps[0] >= LEAST_OUTPUT


async def test_the_cap_never_passes_the_models_or_the_agents() -> None:
    small = ScriptedBackend("Yes.", card=card("small", max_output_tokens=50))
    await agent(small, tools=()).run(TASK)
    assert small.requests[0].max_output_tokens == 50
    backend = ScriptedBackend("Yes.")
    await agent(backend, tools=(), max_output_tokens=70, temperature=0.5, seed=3).run(TASK)
    sent = backend.requests[0]
    assert (sent.max_output_tokens, sent.temperature, sent.seed) == (70, 0.5, 3)


async def test_a_filtered_reply_is_not_an_answer() -> None:
    filtered = Completion(assistant("I am af"), "content_filter")
    answer = await agent(ScriptedBackend(filtered), tools=()).run(TASK)
    assert (answer.status, answer.stop_reason) == ("degraded", "filtered")


# ---------------------------------------------------------------- routers that misbehave
async def test_a_router_that_names_no_candidate_is_told() -> None:
    class Wrong:
        def next(self, *_: object) -> Call:
            return Call("nobody", "why not")

    with pytest.raises(RoutingError, match="'nobody'; it must be one of"):
        await agent(router=Wrong()).run(TASK)


async def test_a_vote_on_a_reply_that_does_not_exist_is_told() -> None:
    class Wrong:
        def next(self, *_: object) -> Call:
            return Call("scripted", "why not", Ask((user("Is it right?"),), 10, about=0))

    with pytest.raises(RoutingError, match="about outcome 0 of 0"):
        await agent(router=Wrong()).run(TASK)


async def test_models_without_tools_are_not_eligible() -> None:
    backend = ScriptedBackend(ANSWER, card=card("plain", capabilities=Capabilities(tools=False)))
    with pytest.raises(NoEligibleModel, match="plain: it cannot call tools"):
        await agent(backend).run(TASK)
    assert (await agent(backend, tools=()).run(TASK)).text == ANSWER


async def test_arguments_reach_the_tool_as_written() -> None:
    def script(request: Request) -> Reply:
        return ANSWER if request.messages[-1].role == "tool" else GOOD

    answer = await agent(ScriptedBackend(script)).run(TASK)
    (call,) = [call for message in answer.messages for call in message.tool_calls]
    assert json.loads(call.arguments) == {"number": 7}


async def test_a_judgement_is_read_by_the_reader_that_comes_with_the_question() -> None:
    class Judging:
        def next(self, query: object, candidates: object, seen: Sequence[Outcome], view: object) -> Decision:
            if len(seen) == 2:
                return Stop(0, f"it is {seen[1].right}")
            ask = Ask((user("Is it right?"),), 10, True, about=0, read=lambda text: text == "Jein.")
            return Call("scripted", "next", ask if seen else None)

    answer = await agent(ScriptedBackend([ANSWER, "Jein."]), tools=(), router=Judging()).run(TASK)
    assert [e.event.right for e in answer.trace if isinstance(e.event, Verified)] == [None, True]
    assert [e.event.reason for e in answer.trace if isinstance(e.event, Routed)][-1] == "it is True"
