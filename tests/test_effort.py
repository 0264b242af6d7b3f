"""The effort an agent asks for reaches its models, and the final answer of a spent budget asks for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.loader import load
from agentkit.tools import calculate

pytestmark = pytest.mark.anyio


async def test_every_turn_asks_for_the_effort_of_the_agent() -> None:
    model = ScriptedBackend([calls(("calculate", {"expression": "1 + 1"})), "2"])
    await Agent(model, tools=[calculate], reasoning_effort="high").run("1 + 1?", budget=Budget(usd="0.05"))
    assert [request.reasoning_effort for request in model.requests] == ["high", "high"]


async def test_without_one_the_models_own_effort_stands() -> None:
    model = ScriptedBackend("2")
    await Agent(model).run("1 + 1?", budget=Budget(usd="0.05"))
    assert [request.reasoning_effort for request in model.requests] == [None]


async def test_the_wrap_up_asks_for_none_since_its_cap_is_small() -> None:
    turn = calls(("calculate", {"expression": "1 + 1"}))
    model = ScriptedBackend([turn, "2"])
    agent = Agent(model, tools=[calculate], reasoning_effort="high", max_steps=1)
    answer = await agent.run("1 + 1?", budget=Budget(usd="0.05"))
    assert answer.status != "complete"
    assert [request.reasoning_effort for request in model.requests] == ["high", "none"]


def test_a_definition_may_ask_for_it(tmp_path: Path) -> None:
    path = tmp_path / "agentkit.yaml"
    path.write_text(
        "version: 1\n"
        "models: {small: {backend: local, zoo: pico}}\n"
        "agents: {main: {model: small, reasoning_effort: low}}\n"
        "entry: main\n"
    )
    assert load(path)._sampling.reasoning_effort == "low"
