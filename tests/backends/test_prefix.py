"""Over a conversation each call begins with all of the last one, in every dialect: so that caches find it."""

from __future__ import annotations

import pytest

from agentkit import Agent, Budget
from agentkit.backends.provider import Provider, Reply
from agentkit.backends.provider.server import Dialect
from agentkit.messages import Message, ToolCall
from agentkit.tools import tool
from agentkit.types import Request
from tests.backends.dialects import DIALECTS, remote

pytestmark = pytest.mark.anyio

CALLS = 6


@tool
async def look(place: int) -> str:
    "Look at a place."
    return f"nothing at {place}"


def script(request: Request) -> Reply:
    """Call the tool some times, with thinking, and answer."""
    asked = max(at for at, message in enumerate(request.messages) if message.role == "user")
    done = sum(message.role == "tool" for message in request.messages[asked:])
    if done == CALLS:
        return Reply("There is nothing.", thinking="I have seen it all.")
    return Reply("Next.", (ToolCall("", "look", f'{{"place": {done}}}'),), thinking=f"Now place {done}.")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_each_call_is_read_from_the_cache_up_to_the_end_of_the_last(dialect: Dialect, stream: bool) -> None:
    """Though the model is told of its budget on the way, and thinks."""
    history: tuple[Message, ...] = ()
    with Provider(script, cache_from=1) as provider:
        agent = Agent(remote(dialect, provider), tools=[look], instructions="Be brief.", reasoning_effort="low")
        for _ in range(2):
            budget = Budget(usd="0.5", tool_calls=CALLS + 1)
            if stream:
                async with agent.stream("What is there?", budget=budget, history=history) as events:
                    *_, answer = [event async for event in events]
            else:
                answer = await agent.run("What is there?", budget=budget, history=history)
            history = answer.messages  # type: ignore[union-attr]
        await agent.aclose()
        bill = [line.usage for line in provider.bill]
    assert len(bill) == 2 * (CALLS + 1)
    assert any("budget" in message.text.lower() for message in history if message.role == "tool")
    for before, after in zip(bill, bill[1:], strict=False):
        assert after.cache_read_tokens == before.total_input
