"""Conversations that are too long: what is left out, what stays, and that it is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.answer import Answer
from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable, ContextOverflow
from agentkit.executor.context import shorten
from agentkit.executor.resilience import OnOverflow, Resilience
from agentkit.messages import Message, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.tools import tool
from agentkit.trace import Retried
from agentkit.types import Request
from tests.scenario import ANSWER, TASK, agent, check_answer, check_books, unanswered_calls

pytestmark = pytest.mark.anyio

WINDOW = 900
SUMMARY = "They asked about orders 1 to 9; all have shipped."


# ---------------------------------------------------------------- what is left out
def turn(number: int, words: int, calls: int) -> tuple[Message, ...]:
    """A reply with `calls` tool calls and their results."""
    wanted = tuple(ToolCall(f"{number}-{i}", "look", "{}") for i in range(calls))
    results = (tool_message(ToolResult(call.id, "look", "seen " * words)) for call in wanted)
    return assistant("I look. " * words, wanted), *results


turns = st.tuples(st.integers(0, 9), st.integers(0, 300), st.integers(1, 3)).map(lambda t: turn(*t))
exchanges = st.tuples(st.integers(0, 300), st.lists(turns, max_size=2)).map(
    lambda e: (user("question " * e[0]), *(m for t in e[1] for m in t), assistant("answer"))
)
conversations = st.tuples(st.booleans(), st.lists(exchanges, max_size=4), st.lists(turns, max_size=5)).map(
    lambda c: (
        *((system("Be brief."),) if c[0] else ()),
        *(message for exchange in c[1] for message in exchange),
        user("THE TASK"),
        *(message for t in c[2] for message in t),
    )
)


def size(messages: tuple[Message, ...]) -> int:
    return sum(len(message.text) for message in messages)


@given(conversations, st.floats(0.05, 0.75))
def test_what_is_left_is_a_conversation_that_every_provider_takes(
    messages: tuple[Message, ...], share: float
) -> None:
    shortened = shorten(messages, share)
    if shortened is None:
        return
    kept = shortened.kept
    assert size(kept) < size(messages) or len(kept) < len(messages)
    assert unanswered_calls(kept) == ()
    known: set[str] = set()
    for message in kept:  # no result without its call before it
        known |= {call.id for call in message.tool_calls}
        assert message.role != "tool" or message.call_id in known
    assert [m for m in kept if m.role == "system"] == [m for m in messages if m.role == "system"]
    assert user("THE TASK") in kept and kept[-1].role == messages[-1].role
    spoken = [message for message in kept if message.role != "system"]
    assert spoken[0].role == "user"  # some providers take nothing else
    assert shortened.note


@given(conversations)
def test_it_ends(messages: tuple[Message, ...]) -> None:
    for _ in range(200):
        shortened = shorten(messages, 0.75)
        if shortened is None:
            return
        messages = shortened.kept
    raise AssertionError("it can always be made shorter")


def test_the_oldest_go_first_and_no_more_than_need_be() -> None:
    messages = (user("TASK"), *(m for n in range(5) for m in turn(n, 50, 1)))
    shortened = shorten(messages, 0.65)
    assert shortened is not None
    assert shortened.left_out == messages[1:5] and shortened.kept == (messages[0], *messages[5:])
    assert shortened.note == "the 4 oldest messages were left out"


def test_one_result_that_is_most_of_it_is_cut_instead() -> None:
    messages = (user("TASK"), *turn(0, 5, 1), *turn(1, 2_000, 1)[:1], *turn(1, 2_000, 1)[1:])
    big = (user("TASK"), *turn(0, 5, 1), assistant("", messages[-2].tool_calls), messages[-1])
    shortened = shorten(big, 0.5)
    assert shortened is not None and len(shortened.kept) == len(big) and shortened.left_out == ()
    assert size(shortened.kept) <= 0.55 * size(big)
    assert "more characters do not fit]" in shortened.kept[-1].text and "were left out" in shortened.note


# ---------------------------------------------------------------- in a run
@tool
async def look(number: int) -> str:
    "Look at an order."
    return f"order {number} " + "has shipped " * 60


def plays(steps: int, window: int = WINDOW, summary: Reply = SUMMARY) -> ScriptedBackend:
    """Look at an order for `steps` turns, then answer; refuses prompts above the window."""
    turns_made = 0

    def play(request: Request) -> Reply:
        nonlocal turns_made
        text = " ".join(message.text for message in request.messages)
        if "Summarise this conversation" in text:
            return summary
        if (words := len(text.split())) > window:
            return ContextOverflow("scripted", words, window)
        turns_made += 1
        return ANSWER if turns_made > steps else calls(("look", {"number": turns_made}))

    return ScriptedBackend(play)


async def run(backend: ScriptedBackend, policy: OnOverflow, **budget: Any) -> tuple[Answer[Any], list[str]]:
    subject = agent(backend, tools=(look,), resilience=Resilience(on_overflow=policy))
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await subject.run(TASK, budget=Budget(**(budget or {"usd": 1})), scope=scope)
        await check_books(ledger, scope, backend)
    check_answer(answer)
    return answer, [s.event.reason for s in answer.trace if isinstance(s.event, Retried)]


async def test_refusing_ends_with_what_is_known() -> None:
    answer, told = await run(plays(12), "refuse")
    assert (answer.status, answer.stop_reason) == ("degraded", "context") and told == []


async def test_trimming_goes_on_and_says_so() -> None:
    backend = plays(12)
    answer, told = await run(backend, "trim")
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert told and all("do not fit its window of 900; the" in note for note in told)
    assert TASK in [message.text for message in backend.requests[-1].messages]


async def test_a_summary_is_a_paid_call_and_takes_the_place_of_what_was_left_out() -> None:
    backend = plays(12)
    answer, told = await run(backend, "summarise")
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert all(note.endswith("left out and summarised") for note in told)
    asked = [r for r in backend.requests if "Summarise this conversation" in r.messages[0].text]
    assert asked and "order 1 has shipped" in asked[0].messages[0].text
    summary = backend.requests[-1].messages[0]
    assert (summary.text, summary.name) == (f"Summary of our conversation so far:\n{SUMMARY}", "summary")
    paid = [receipt for receipt in answer.receipts if receipt.what == "model:scripted"]
    assert len(paid) == len(backend.requests) and all(receipt.charged != Cost() for receipt in paid)


async def test_a_summary_that_fails_leaves_it_at_trimming() -> None:
    backend = plays(12, summary=ContextOverflow("scripted", 10, 9))
    answer, told = await run(backend, "summarise")
    assert answer.text == ANSWER and "left out, and not summarised: " in told[0]


async def test_a_task_that_is_too_long_by_itself_is_refused_all_the_same() -> None:
    answer, told = await run(plays(1, window=3), "trim")
    assert (answer.status, answer.stop_reason) == ("degraded", "context") and told == []


async def test_other_failures_shorten_nothing() -> None:
    backend = ScriptedBackend([BackendUnavailable("scripted", "gone"), ANSWER])
    answer, told = await run(backend, "trim")
    assert answer.text == ANSWER and len(told) == 1 and "again in" in told[0]
