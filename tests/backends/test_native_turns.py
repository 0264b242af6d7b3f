"""Thinking goes back as it came through the tool loop of an agent, which knows nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agentkit import Agent, Answer, tool
from agentkit.backends.provider import Provider, Reply
from agentkit.backends.provider.server import Dialect
from agentkit.messages import ToolCall
from tests.backends.dialects import remote

pytestmark = pytest.mark.anyio

SIGNED: Mapping[Dialect, Any] = {
    "anthropic": {"type": "thinking", "thinking": "The moon is high.", "signature": "signed-0"},
    "gemini": {"functionCall": {"name": "tide", "args": {}}, "thoughtSignature": "c2lnbmVkLTA="},
}


@tool
def tide() -> str:
    """Return the time of high tide."""
    return "noon"


def asks_for_the_tide(dialect: Dialect) -> Provider:
    return Provider([Reply("", (ToolCall("", "tide", "{}"),), thinking="The moon is high."), "At noon."])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", SIGNED)
async def test_thinking_goes_back_as_it_came(dialect: Dialect, stream: bool) -> None:
    with asks_for_the_tide(dialect) as provider:
        agent = Agent(remote(dialect, provider), tools=[tide])
        if stream:
            async with agent.stream("When is high tide?") as events:
                *_, last = [event async for event in events]
            assert isinstance(last, Answer)
            answer = last
        else:
            answer = await agent.run("When is high tide?")
        await agent.aclose()
    assert answer.output == "At noon."
    _, second = provider.requests
    turn = (second.body.get("messages") or second.body.get("contents"))[1]
    assert SIGNED[dialect] in (turn.get("content") or turn.get("parts"))
