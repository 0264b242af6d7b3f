"""BATS: what a verification may say, what follows from it, and whole runs: never over budget, always an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.agent import Agent
from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.catalog import Selection
from agentkit.costs import Budget
from agentkit.errors import BadRequest, BudgetExceeded, ConfigError
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.planner import BudgetAware, Plan, Step
from agentkit.planner.bats import GUIDANCE, Verdict, is_summary_cheaper, problems_of_verdict
from agentkit.tools import tool
from agentkit.trace import Planned, Retried, Verified
from agentkit.types import Request, ScopeView
from agentkit.usage import Price
from tests.scenario import ANSWER, TASK, agent, card, check_answer, check_books

LOOK = calls(("find_order", {"number": 7}))
WRAPPED = "Wrapped up."


def verdict(choice: str, *findings: str, summary: str = "Looked at order 7.") -> str:
    found = [{"constraint": f"part {place}", "finding": finding} for place, finding in enumerate(findings)]
    return json.dumps({"constraints": found, "decision": choice, "summary": summary})


GOOD = verdict("success", "satisfied")
DEEPER = verdict("continue", "satisfied", "unverifiable")
ELSEWHERE = verdict("pivot", "contradicted")


def player(answers: list[Reply], verdicts: list[Reply]) -> Callable[[Request], Reply]:
    """Look the order up whenever asked, then give the next answer; verdicts are a list of their own."""
    said, judged = iter(answers), iter(verdicts)

    def play(request: Request) -> Reply:
        last = request.messages[-1]
        if "The budget is spent" in last.text:
            return WRAPPED
        if "Proposed answer:" in last.text:
            return next(judged)
        return next(said) if last.role == "tool" else LOOK

    return play


def asked(backend: ScriptedBackend) -> Iterator[str]:
    """The last message of every request that is neither after a tool nor a verification."""
    for request in backend.requests:
        last = request.messages[-1]
        if last.role == "user" and "Proposed answer:" not in last.text:
            yield last.text


# ---------------------------------------------------------------- verdicts
@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "[]",
        "{}",
        '{"constraints": [], "decision": "maybe", "summary": ""}',
        '{"constraints": [], "decision": "pivot", "summary": 1}',
        '{"constraints": [{"constraint": "x", "finding": "perhaps"}], "decision": "pivot", "summary": ""}',
        '{"constraints": [{"constraint": 7, "finding": "satisfied"}], "decision": "pivot", "summary": ""}',
        '{"constraints": ["x"], "decision": "pivot", "summary": ""}',
        '{"constraints": [{"constraint": "x", "finding": []}], "decision": [], "summary": ""}',
        pytest.param('{"constraints": ' + "[" * 100_000 + "}", id="too deep"),
    ],
)
def test_what_is_no_verification_is_refused(text: str) -> None:
    assert len(problems_of_verdict(text)) == 1
    with pytest.raises(ValueError, match=r"verification|decision|constraint"):
        Verdict.read(text)


def test_a_verification_may_stand_in_a_fence_and_is_no_success_with_a_contradiction() -> None:
    read = Verdict.read(f"```json\n{verdict('success', 'satisfied', 'contradicted', 'unverifiable')}\n```")
    assert (read.choice, read.rank) == ("continue", 0)
    assert read.problems == ("contradicted: part 1", "unverifiable: part 2")
    assert Verdict.read(GOOD).choice == "success"


CACHED = Price(Decimal(1), Decimal(4), cache_read=Decimal("0.1"))


@pytest.mark.parametrize(
    ("raw", "summary", "turns", "price", "cheaper"),
    [
        (1_000, 200, 1, CACHED, False),  # 1,000 cached tokens are 100 fresh ones
        (1_000, 200, 3, CACHED, True),  # 200 + 2·20 < 3·100
        (1_000, 250, 3, CACHED, False),  # 250 + 2·25 = 3·100
        (1_000, 999, 1, Price(Decimal(1), Decimal(4)), True),
        (1_000, 999, 1, None, True),
        (1_000, 1_000, 5, None, False),
    ],
)
def test_a_summary_has_to_earn_back_the_lost_cache(
    raw: int, summary: int, turns: int, price: Price | None, cheaper: bool
) -> None:
    assert is_summary_cheaper(raw, summary, turns, price) is cheaper


def test_one_proposal_needs_no_planner() -> None:
    with pytest.raises(ConfigError, match="2 proposals or more"):
        BudgetAware(1)


# ---------------------------------------------------------------- runs
@pytest.mark.anyio
async def test_the_first_verified_answer_stands() -> None:
    backend = ScriptedBackend(player([ANSWER], [GOOD]))
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, backend, exact=True)
    assert (answer.status, answer.text) == ("complete", ANSWER)
    judge = backend.requests[-1]
    assert len(backend.requests) == 3 and judge.tools == () and judge.output_schema is not None
    prompt = judge.messages[-1].text
    assert f"Proposed answer:\n{ANSWER}" in prompt and "order 7 shipped" in prompt and "99% of usd" in prompt
    assert all(GUIDANCE in request.messages[0].text for request in backend.requests[:-1])
    assert [e.event.reason for e in answer.trace if isinstance(e.event, Planned)] == [
        "at most 4 answers, each verified"
    ]
    check_answer(answer)


@pytest.mark.anyio
async def test_a_pivot_begins_again_with_the_summary_alone() -> None:
    backend = ScriptedBackend(player(["Wrong.", ANSWER], [ELSEWHERE, GOOD]))
    answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.text) == ("complete", ANSWER)
    first, second = asked(backend)
    assert first == TASK and second.startswith(TASK)
    assert "- contradicted: part 0\nLooked at order 7.\nNow begin again on another path" in second
    pivoted = next(r for r in backend.requests if r.messages[-1].text == second)
    assert [message.role for message in pivoted.messages] == ["system", "user"]
    assert any(
        isinstance(e.event, Retried) and e.event.reason.startswith("pivot; a summary") for e in answer.trace
    )
    check_answer(answer)


@pytest.mark.anyio
@pytest.mark.parametrize(("summary", "kept"), [("Short.", False), ("word " * 700, True)])
async def test_digging_deeper_keeps_the_conversation_where_a_summary_is_dearer(summary: str, kept: bool) -> None:
    deeper = verdict("continue", "unverifiable", summary=summary)
    backend = ScriptedBackend(player(["Perhaps. " * 200, ANSWER], [deeper, GOOD]))
    answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert answer.text == ANSWER
    second = list(asked(backend))[1]
    again = next(r for r in backend.requests if r.messages[-1].text == second)
    roles = [message.role for message in again.messages]
    assert roles == (["system", "user", "assistant", "tool", "assistant", "user"] if kept else ["system", "user"])
    assert "dig deeper" in second and second.startswith(TASK) is not kept


@pytest.mark.anyio
async def test_a_verified_answer_stands_even_where_an_earlier_one_met_more_constraints() -> None:
    judged: list[Reply] = [verdict("continue", "satisfied", "satisfied", "unverifiable"), GOOD]
    backend = ScriptedBackend(player(["First.", ANSWER], judged))
    answer = await agent(backend, planner=BudgetAware(2)).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.text) == ("complete", ANSWER)


@pytest.mark.anyio
async def test_a_typed_answer_and_its_verification_ask_for_a_json_each() -> None:
    backend = ScriptedBackend(lambda request: GOOD if "Proposed answer:" in request.messages[-1].text else "7")
    answer = await Agent(backend, output_type=int, planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.output) == ("complete", 7)
    first, judge = backend.requests
    assert '{"type":"integer"}' in first.messages[0].text
    assert [message.role for message in judge.messages] == [
        "user"
    ] and judge.output_schema is not first.output_schema


@pytest.mark.anyio
async def test_the_answer_with_most_constraints_met_is_kept() -> None:
    judged: list[Reply] = [verdict("continue", "satisfied", "satisfied"), verdict("pivot", "contradicted")]
    backend = ScriptedBackend(player(["Better.", "Worse."], judged))
    answer = await agent(backend, planner=BudgetAware(2)).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.stop_reason, answer.text) == ("degraded", "unverified", "Better.")
    assert answer.unmet == ("the answer is not verified",)
    check_answer(answer)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(["No JSON."], id="no verdict"),
        pytest.param([BadRequest("scripted", "gone")], id="no judge"),
    ],
)
async def test_an_answer_that_cannot_be_verified_is_given_and_said_to_be_so(judged: list[Reply]) -> None:
    backend = ScriptedBackend(player([ANSWER], judged))
    answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.stop_reason, answer.text) == ("degraded", "unverified", ANSWER)
    check_answer(answer)


@pytest.mark.anyio
async def test_no_proposal_begins_that_the_rest_of_the_budget_would_not_pay_for() -> None:
    backend = ScriptedBackend(player([ANSWER] * 4, [DEEPER] * 4))
    answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1, tool_calls=1))
    assert answer.text == ANSWER and answer.stop_reason == "unverified"
    assert answer.spent["tool_calls"] == 1 and len(backend.requests) == 3


@pytest.mark.anyio
async def test_a_model_that_fails_later_does_not_take_the_answer_with_it() -> None:
    backend = ScriptedBackend(player([ANSWER, BadRequest("scripted", "gone")], [DEEPER]))
    answer = await agent(backend, planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.text) == ("degraded", ANSWER)
    with pytest.raises(BadRequest):
        await agent(ScriptedBackend(BadRequest("scripted", "gone")), planner=BudgetAware()).run(TASK)


@pytest.mark.anyio
async def test_an_unfinished_proposal_is_what_a_plain_loop_makes_of_it() -> None:
    answer = await agent(ScriptedBackend(LOOK), planner=BudgetAware(), max_steps=2).run(TASK)
    assert (answer.status, answer.stop_reason) == ("degraded", "max_steps")
    with pytest.raises(BudgetExceeded):
        await agent(ScriptedBackend(LOOK), planner=BudgetAware()).run(
            TASK, budget=Budget(tool_calls=2, on_limit="raise")
        )


@pytest.mark.anyio
async def test_the_verdict_is_in_the_trace_under_the_model_that_gave_it() -> None:
    small, large = (
        ScriptedBackend(player([ANSWER], ["No."]), card=card("small")),
        ScriptedBackend(GOOD, card=card("big", "9")),
    )
    answer = await agent([small, large], planner=BudgetAware()).run(TASK, budget=Budget(usd=1))
    assert answer.status == "complete"
    assert [e.event.model for e in answer.trace if isinstance(e.event, Verified)][-3:] == ["small", "big", "big"]


def test_at_the_deadline_the_best_answer_so_far_is_given() -> None:
    looked: list[int] = []

    @tool
    async def find_order(number: int) -> str:
        "Find an order by its number."
        looked.append(number)
        await anyio.sleep(60 if len(looked) == 3 else 0)
        return "shipped"

    backend = ScriptedBackend(player([ANSWER, "Worse.", "Later."], [DEEPER, ELSEWHERE]))
    subject = agent(backend, tools=(find_order,), planner=BudgetAware())
    answer = run_virtually(lambda: subject.run(TASK, budget=Budget(seconds=20)))
    assert len(looked) == 3 and len(backend.requests) == 7  # no model is asked for what there is already
    assert (answer.status, answer.stop_reason, answer.text) == ("exhausted", "time", ANSWER)


@pytest.mark.anyio
async def test_an_answer_that_needs_no_tools_is_verified_beside_the_finish_line() -> None:
    backend = ScriptedBackend(lambda request: GOOD if request.output_schema else ANSWER)
    subject = agent(backend, tools=(), planner=BudgetAware(), max_output_tokens=300)
    for tokens in range(300, 1_200, 50):
        answer = await subject.run(TASK, budget=Budget(tokens=tokens))
        assert answer.spent["tokens"] <= tokens and answer.text in (ANSWER, "")
        check_answer(answer)


class TwoSteps:
    """Plans a verified step and one that needs its answer."""

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        return Plan((Step("find", task, proposals=2), Step("tell", "Tell it.", ("find",))), "two steps")


@pytest.mark.anyio
async def test_a_step_of_a_plan_may_be_a_verified_one() -> None:
    backend = ScriptedBackend(player(["Wrong.", "Shipped.", ANSWER], [ELSEWHERE, GOOD]))
    answer = await agent(backend, planner=TwoSteps()).run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert list(asked(backend))[-1] == "find: Shipped.\n\nTell it."


# ---------------------------------------------------------------- the promise
@settings(max_examples=120, deadline=None)
@given(
    tokens=st.integers(1, 4_000),
    proposals=st.integers(2, 5),
    judged=st.lists(st.sampled_from([GOOD, DEEPER, ELSEWHERE, "No JSON."]), min_size=5, max_size=5),
    length=st.integers(1, 120),
    bill=st.sampled_from(["streamed", "full"]),
)
@pytest.mark.anyio
async def test_never_over_budget_and_always_an_answer(
    tokens: int, proposals: int, judged: list[str], length: int, bill: str
) -> None:
    backend = ScriptedBackend(player(["word " * length] * 5, list(judged) * 4), bill=bill)  # type: ignore[arg-type]
    subject = agent(backend, planner=BudgetAware(proposals))
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": tokens})
        answer = await subject.run(TASK, budget=Budget(tokens=tokens), scope=scope)
        await check_books(ledger, scope, backend, exact=True)
    assert backend.billed["tokens"] <= tokens
    assert (answer.status == "infeasible") == (tokens < subject.minimum(TASK)["tokens"])
    check_answer(answer)
