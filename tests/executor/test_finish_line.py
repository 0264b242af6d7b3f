"""The finish line: how much is held for the final answer, and what its prompt is made of."""

from contextlib import suppress

import pytest

from agentkit.backends.fake import Faulty, Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger, rules
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable
from agentkit.executor.finish_line import SHARE
from agentkit.tools import tool
from agentkit.trace import Event, Extended, Reserved, Voided
from agentkit.types import Request
from agentkit.usage import Bound
from tests.scenario import TASK, WRAPPED, agent, card, check_answer, play

pytestmark = pytest.mark.anyio


async def test_a_finish_line_above_the_minimum_is_a_fair_share_of_the_budget() -> None:
    subject, held = agent(), []
    least = subject.minimum(TASK)["tokens"]
    for tokens in range(least, 16_000, 400):
        answer = await subject.run(TASK, budget=Budget(tokens=tokens))
        first = next(e.event for e in answer.trace if isinstance(e.event, Reserved))
        assert first.what == "finish:scripted" and not first.dispatched
        held.append(first.cost["tokens"])
        assert held[-1] == least or held[-1] * SHARE <= tokens
    assert held == sorted(held) and held[0] == least and held[-1] > 10 * least


async def test_the_prompt_has_the_facts_and_not_the_errors() -> None:
    @tool
    async def breaks() -> str:
        raise RuntimeError("no such table")

    backend = ScriptedBackend([calls(("find_order", {"number": 7}), ("breaks", {})), WRAPPED])
    await agent(backend, tools=(*agent().tools, breaks), max_steps=1).run(TASK)
    prompt = backend.requests[-1].messages[-1].text
    assert prompt.startswith(TASK) and 'find_order({"number": 7}): order 7 shipped' in prompt
    assert "no such table" not in prompt
    assert backend.requests[-1].tools == ()


async def test_the_finish_line_is_on_the_cheapest_model() -> None:
    small, large = ScriptedBackend(play, card=card("small")), ScriptedBackend(play, card=card("large", "9"))
    answer = await agent([large, small], max_steps=1).run(TASK)
    assert [receipt.what for receipt in answer.receipts if receipt.what.startswith("finish:")] == ["finish:small"]
    assert large.requests == [] and answer.text == WRAPPED


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([Faulty(calls(("find_order", {"number": 7})), overbill=3.0)], id="frozen"),
        pytest.param([BackendUnavailable("scripted", "gone")], id="failure"),
    ],
)
async def test_what_is_not_used_is_given_back_and_the_trace_says_so(replies: list[Reply]) -> None:
    events: list[Event] = []
    with suppress(BackendUnavailable):
        async with agent(ScriptedBackend(replies)).stream(TASK, budget=Budget(tokens=700)) as stream:
            async for event in stream:
                if isinstance(event, Event):
                    events.append(event)
    line = next(event for event in events if isinstance(event, Reserved))
    assert line.what == "finish:scripted"
    assert [event.hold for event in events if isinstance(event, Voided)] == [line.hold]


async def test_what_the_work_leaves_over_makes_room_for_the_facts() -> None:
    """Near the minimum the hold has no room for facts; at the wrap-up the leftover pays for them."""
    subject = agent()
    budget = Budget(tokens=4 * subject.minimum(TASK)["tokens"], tool_calls=1)
    backend = ScriptedBackend(
        [calls(("find_order", {"number": 7})), calls(("find_order", {"number": 8})), WRAPPED]
    )
    answer = await agent(backend).run(TASK, budget=budget)
    assert (answer.status, answer.stop_reason, answer.text) == ("exhausted", "limit:tool_calls", WRAPPED)
    assert 'find_order({"number": 7}): order 7 shipped' in backend.requests[-1].messages[-1].text
    held = next(e.event.cost for e in answer.trace if isinstance(e.event, Reserved))
    assert held == subject.minimum(TASK)
    assert any(isinstance(e.event, Extended) for e in answer.trace)
    assert answer.spent["tokens"] == backend.billed["tokens"] <= budget.limits()["tokens"]


async def test_a_budget_that_others_freeze_during_the_wrap_up_does_not_take_the_answer_away() -> None:
    class Freezes(ScriptedBackend):
        def bound(self, request: Request) -> Bound:
            if self.requests:  # of the wrap-up: somebody else's call was billed above its hold
                scope._store.write_now(rules.settle, other.id, Cost(tokens=9_000))
            return super().bound(request)

    backend = Freezes(calls(("find_order", {"number": 7})))
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": 5_000})
        other = await scope.reserve(Cost(tokens=9), dispatch=True)
        answer = await agent(backend, max_steps=1).run(TASK, budget=Budget(tokens=400), scope=scope)
    check_answer(answer)
    assert scope.view().frozen and "order 7 shipped" in answer.text
