"""How much each family of Claude models is told to think, and what the output cap leaves of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.anthropic import Anthropic
from agentkit.backends.anthropic_rules import rules_of
from agentkit.messages import Message, Native, ToolCall, ToolResult, assistant, tool_message, user
from agentkit.types import Capabilities, Effort, ModelCard, Request, ToolSpec

TOOL = ToolSpec("search", "", {"type": "object"})
EFFORTS: list[Effort | None] = [None, "none", "minimal", "low", "medium", "high"]


def told(
    model: str, effort: Effort | None, *messages: Message, cap: int = 10_000, capable: bool = True, **more: Any
) -> tuple[Any, Any]:
    """The thinking and the output_config of a request."""
    card = ModelCard("m", "anthropic", model, capabilities=Capabilities(reasoning_effort=capable))
    request = Request(messages=messages or (user("x"),), max_output_tokens=cap, reasoning_effort=effort, **more)
    body = Anthropic().build_request(request, card)
    return body.get("thinking"), body.get("output_config")


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


ADAPTIVE = {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        ("claude-3-7-sonnet-20250219", "high", budget(8_000), None),
        ("claude-sonnet-4-20250514", "medium", budget(5_000), None),
        ("claude-opus-4-1-20250805", "low", budget(2_000), None),
        ("claude-haiku-4-5", "minimal", budget(1_024), None),
        ("claude-opus-4-5@20251101", "none", None, None),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "low", budget(2_000), None),
        ("glm-5", "low", budget(2_000), None),
        ("claude-opus-4-6", "minimal", ADAPTIVE, {"effort": "low"}),
        ("claude-opus-4-6", "none", None, None),
        ("anthropic/claude-opus-4.8", "medium", ADAPTIVE, {"effort": "medium"}),
        ("claude-sonnet-5", "high", ADAPTIVE, {"effort": "high"}),
        ("claude-sonnet-5", "none", {"type": "disabled"}, None),
        ("claude-haiku-5-5", "none", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-opus-5-5", "none", None, {"effort": "low"}),
        ("claude-mythos-preview", "none", None, {"effort": "low"}),
        ("claude-fable-7", "low", ADAPTIVE, {"effort": "low"}),
        ("claude-sonnet-5", None, None, None),
        ("claude-3-7-sonnet-20250219", None, None, None),
    ],
)
def test_effort_by_family(model: str, effort: Effort | None, thinking: Any, config: Any) -> None:
    assert told(model, effort) == (thinking, config)
    assert told(model, effort, capable=False) == (None, None)


@given(st.sampled_from(["claude-sonnet-4-5", "kimi-k3"]), st.sampled_from(EFFORTS), st.integers(1, 200_000))
def test_a_budget_is_taken_and_leaves_room_for_the_answer(model: str, effort: Effort | None, cap: int) -> None:
    thinking, _ = told(model, effort, cap=cap)
    if thinking is not None:
        assert 1_024 <= thinking["budget_tokens"] <= 0.8 * cap
    elif effort not in (None, "none"):
        assert cap < 1_280


@pytest.mark.parametrize(
    ("model", "thinking", "config"),
    [
        ("claude-sonnet-4-5", None, None),
        ("claude-sonnet-5", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", {"type": "between_tools"}, None),
        ("claude-opus-5-5", None, {"effort": "low"}),
    ],
)
def test_a_model_that_thinks_unasked_does_not_where_the_cap_leaves_no_room(
    model: str, thinking: Any, config: Any
) -> None:
    assert told(model, None, cap=1_279) == (thinking, config)
    assert told(model, None, cap=1_280) == (None, None)


@pytest.mark.parametrize(
    ("model", "thinking"),
    [("claude-sonnet-4-5", None), ("claude-opus-4-6", None), ("claude-opus-5", {"type": "disabled"})],
)
def test_a_forced_tool_excludes_thinking(model: str, thinking: Any) -> None:
    for effort in EFFORTS:
        assert told(model, effort, tools=(TOOL,), tool_choice="required") == (thinking, None)


CALL = ToolCall("toolu_1", "search", "{}")
USED = {"type": "tool_use", "id": CALL.id, "name": CALL.name, "input": {}}
RESULT = tool_message(ToolResult(CALL.id, CALL.name, "found"))


def called(*blocks: dict[str, Any]) -> Message:
    return Message("assistant", "", (CALL,), native=Native("anthropic", "claude-sonnet-4-5", (*blocks, USED)))


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((user("x"), called({"type": "thinking", "thinking": "", "signature": "s"}), RESULT), True),
        ((user("x"), called({"type": "redacted_thinking", "data": "…"}), RESULT), True),
        ((user("x"), assistant("", (CALL,)), RESULT), False),  # another model's turn
        ((user("x"), assistant("", (CALL,)), RESULT, assistant("y"), user("z")), True),
        ((user("x"), assistant("the beginning of")), False),
    ],
)
def test_a_turn_that_began_without_thinking_goes_on_without(messages: tuple[Message, ...], thinks: bool) -> None:
    """The server refuses a budget where the turn under way does not begin with thinking."""
    assert (told("claude-sonnet-4-5", "high", *messages)[0] is not None) is thinks
    assert told("claude-opus-4-6", "high", *messages)[0] == ADAPTIVE


def test_a_minor_version_of_two_digits_is_a_later_one() -> None:
    assert rules_of("claude-opus-4-10") == rules_of("claude-opus-4-8") != rules_of("claude-opus-4-1")
