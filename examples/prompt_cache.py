"""Long instructions over many turns: what Claude's prompt cache saves, with the same agent and the same limit.

    python examples/prompt_cache.py

The provider is a fake on this machine that bills as Anthropic does; `Agent("anthropic:MODEL")` asks the real one,
and caches by itself.
"""

from decimal import Decimal

import anyio

from agentkit import Agent, Budget, ModelCard, Price, tool
from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.fake import calls
from agentkit.backends.provider import Provider
from agentkit.types import Capabilities

HANDBOOK = "Read the handbook before you answer. " * 500
PRICE = Price(
    Decimal(3), Decimal(15), cache_read=Decimal("0.30"), cache_write=Decimal("3.75")
)  # per million tokens


@tool
def look_up(section: int) -> str:
    """Return a section of the handbook."""
    return f"Section {section} says that refunds take {section} days."


async def cost(*, cached: bool) -> Decimal:
    """Return the dollars of a task that takes five turns."""
    script = [*(calls(("look_up", {"section": n})) for n in range(1, 5)), "Refunds take four days."]
    card = ModelCard("claude", "anthropic", "claude", PRICE, capabilities=Capabilities(cache_control=cached))
    with Provider(script) as provider:
        model = RemoteBackend(card, Anthropic(), base_url=provider.url("anthropic"))
        agent = Agent(model, tools=[look_up], instructions=HANDBOOK)
        answer = await agent.run("How long does a refund take?", budget=Budget(usd="1"))
        await agent.aclose()
    return answer.spent.usd


async def main() -> None:
    plain, cached = await cost(cached=False), await cost(cached=True)
    print(f"without the cache ${plain}, with it ${cached}: {1 - cached / plain:.0%} saved")


if __name__ == "__main__":
    anyio.run(main)
