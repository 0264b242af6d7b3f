"""agentkit: an agent at the provider's address, with budget, ledger and trace on."""

from decimal import Decimal
from functools import cache

from agentkit import Agent, Answer, Budget
from agentkit.backends import RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.trace import TextDelta
from agentkit.types import ModelCard
from agentkit.usage import Price

TASK = "When is high tide?"


@cache
def agent(port: int) -> Agent:
    """Return the agent, which keeps its connections."""
    card = ModelCard("m", "openai", "m", price=Price(Decimal(1), Decimal(4)), max_output_tokens=500)
    backend = RemoteBackend(card, OpenAIChat(), base_url=f"http://127.0.0.1:{port}/v1", api_key="key")
    return Agent(backend, budget=Budget(usd="0.05", tokens=100_000, seconds=60))


async def run(port: int, stream: bool) -> str:
    """Return the text of a reply, whole or streamed."""
    if not stream:
        return (await agent(port).run(TASK)).text
    text = []
    async with agent(port).stream(TASK) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text.append(event.text)
            elif isinstance(event, Answer):
                assert event.text == "".join(text)
    return "".join(text)
