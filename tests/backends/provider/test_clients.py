"""What the official clients read from the fake is what was scripted, and what our dialects read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from agentkit.backends import Assembler
from agentkit.backends.provider import Provider
from agentkit.backends.provider.server import Dialect
from agentkit.messages import user
from agentkit.types import Request, ToolSpec
from tests.backends.dialects import DIALECTS, remote
from tests.backends.provider.clients import CLIENTS, TASK, TOOLS, Seen
from tests.backends.provider.replies import CASES

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider({name: case.reply for name, case in CASES.items()}) as provider:
        yield provider


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_official_client_and_our_dialect_read_the_same(
    dialect: Dialect, case: str, stream: bool, provider: Provider
) -> None:
    cap = CASES[case].cap
    theirs = CLIENTS[dialect](provider, case, cap, stream)
    mine = await ours(dialect, provider, case, cap, stream)
    billed = [
        (usage.total_input, usage.cache_read_tokens, usage.total_output, usage.reasoning_tokens)
        for usage in (line.usage for line in provider.bill[-2:])
    ]
    assert [theirs.tokens, mine.tokens] == billed
    calls = tuple((call.name, json.loads(call.arguments)) for call in CASES[case].reply.calls)
    assert mine[:3] == theirs[:3] == (CASES[case].text, calls, CASES[case].finish)


async def ours(name: Dialect, provider: Provider, model: str, cap: int, stream: bool) -> Seen:
    """Read with our own dialect."""
    backend = remote(name, provider, model=model)
    tools = tuple(ToolSpec(tool, "", {"type": "object", "properties": {}}) for tool in TOOLS)
    request = Request(messages=(user(TASK),), max_output_tokens=cap, tools=tools)
    if stream:
        reply = Assembler()
        async with aclosing(backend.stream(request)) as deltas:
            async for delta in deltas:
                reply.add(delta)
        completion = reply.partial()
    else:
        completion = await backend.complete(request)
    await backend.aclose()
    message, usage = completion.message, completion.usage
    assert usage is not None
    calls = tuple((call.name, json.loads(call.arguments)) for call in message.tool_calls)
    tokens = usage.total_input, usage.cache_read_tokens, usage.total_output, usage.reasoning_tokens
    return Seen(message.text, calls, completion.finish_reason, tokens)
