"""The prompt cache of the Anthropic dialect: where it breaks, and a prefix that no later turn changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.provider import Provider, Reply
from agentkit.messages import Message, Native, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.types import Capabilities, ModelCard, Request, ToolSpec

CARD = ModelCard("m", "anthropic", "claude-sonnet-4-5", capabilities=Capabilities(cache_control=True))
TOOLS = (ToolSpec("search", "", {"type": "object"}), ToolSpec("now", "", {"type": "object"}))
MARK = {"type": "ephemeral"}


def sent(*messages: Message, tools: tuple[ToolSpec, ...] = TOOLS, card: ModelCard = CARD) -> dict[str, Any]:
    return Anthropic().build_request(Request(messages=messages, max_output_tokens=9, tools=tools), card)


def marked(body: dict[str, Any]) -> list[str]:
    """The texts and names of the blocks that end a cached prefix, in the order the provider reads them."""
    blocks = [
        *body.get("tools", ()),
        *body.get("system", ()),
        *(b for t in body["messages"] for b in t["content"]),
    ]
    assert all(block.get("cache_control", MARK) == MARK for block in blocks)
    return [b.get("text") or b.get("name") or b.get("content") for b in blocks if "cache_control" in b]


def step(number: int) -> tuple[Message, ...]:
    call = ToolCall(f"toolu_{number}", "search", json.dumps({"n": number}))
    thinking = {"type": "thinking", "thinking": f"thought {number}", "signature": "c2ln"}
    used = {"type": "tool_use", "id": call.id, "name": call.name, "input": {"n": number}}
    said = Message("assistant", "", (call,), native=Native("anthropic", CARD.model, (thinking, used)))
    return said, tool_message(ToolResult(call.id, call.name, f"found {number}"))


def test_breakpoints_end_tools_system_and_the_last_two_turns() -> None:
    opening = (system("one"), system("two"), user("task"))
    assert marked(sent(*opening)) == ["now", "two", "task"]
    assert marked(sent(*opening, *step(1))) == ["now", "two", "task", "found 1"]
    assert marked(sent(*opening, *step(1), *step(2))) == ["now", "two", "found 1", "found 2"]


def test_a_conversation_that_may_end_here_is_not_written() -> None:
    assert marked(sent(system("one"), user("task"), tools=())) == ["one"]
    assert marked(sent(user("a"), assistant("b"), user("c"), tools=())) == ["a", "c"]


def test_nothing_is_marked_where_the_provider_caches_by_itself() -> None:
    card = ModelCard("m", "anthropic", "claude-sonnet-4-5")
    assert marked(sent(system("one"), user("task"), *step(1), card=card)) == []


def test_marks_do_not_stay_in_the_native_form_or_the_tools() -> None:
    messages = (user("task"), *step(1), assistant("so"))
    assert sent(*messages) == sent(*messages)
    assert messages[1].native is not None
    assert all("cache_control" not in block for block in messages[1].native.content)


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip)
ROUND = st.integers(0, 99).map(step) | st.tuples(TEXT.map(user)) | st.tuples(TEXT.map(system))
SAID = st.lists(ROUND, min_size=1, max_size=10)


def prefix(body: dict[str, Any]) -> list[str]:
    """What the provider's cache compares, block by block, without the breakpoints, which move."""
    blocks = [("tool", tool) for tool in body["tools"]] + [("system", block) for block in body.get("system", ())]
    blocks += [(turn["role"], block) for turn in body["messages"] for block in turn["content"]]
    bare = ((role, {k: v for k, v in block.items() if k != "cache_control"}) for role, block in blocks)
    return [json.dumps(block) for block in bare]


@given(TEXT, TEXT, SAID)
def test_a_turn_only_adds_to_what_is_cached(
    instructions: str, task: str, rounds: list[tuple[Message, ...]]
) -> None:
    messages: tuple[Message, ...] = (system(instructions), user(task))
    before = sent(*messages)
    for said in rounds:
        messages += said
        after = sent(*messages)
        assert prefix(after)[: len(prefix(before))] == prefix(before)
        assert 3 <= len(marked(after)) <= 4
        before = after


@pytest.mark.anyio
async def test_over_ten_turns_each_call_reads_what_the_one_before_wrote() -> None:
    plain = await spend(replace(CARD, capabilities=Capabilities()))
    cached = await spend(CARD)
    assert [total for _, total in cached] == [total for _, total in plain]
    assert [read for read, _ in cached] == [0, *(total for _, total in cached[:-1])]
    assert {read for read, _ in plain} == {0}


async def spend(card: ModelCard) -> list[tuple[int, int]]:
    """Work ten turns with a tool; returns what each call read of the cache, and its whole prompt, in tokens."""
    messages: tuple[Message, ...] = (system("Be brief. " * 600), user("task"))
    bill = []
    with Provider(Reply("So.", calls=(ToolCall("", "search", "{}"),))) as provider:
        backend = RemoteBackend(card, Anthropic(), base_url=provider.url("anthropic"))
        for turn in range(10):
            reply = await backend.complete(Request(messages=messages, max_output_tokens=50, tools=TOOLS))
            assert reply.usage is not None
            bill.append((reply.usage.cache_read_tokens, reply.usage.total_input))
            (call,) = reply.message.tool_calls
            messages += (reply.message, tool_message(ToolResult(call.id, call.name, f"found {turn}")))
        await backend.aclose()
    return bill
