"""One agent, four interfaces, one bill. The providers here are fakes on loopback. Real ones need a name and a key:

    Agent("openai:gpt-5-mini")   Agent("openai-responses:gpt-5-mini")
    Agent("anthropic:claude-haiku-4-5")   Agent("gemini:gemini-3.5-flash")

Addresses, keys and what is known of models: docs/remote_models.md.
"""

from decimal import Decimal

import anyio

from agentkit import Agent, Budget, ModelCard, Price
from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.gemini import Gemini
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.openai_responses import OpenAIResponses
from agentkit.backends.provider import Provider

DIALECTS = (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini())


async def main() -> None:
    with Provider("High tide is at noon.") as provider:
        charged = Decimal(0)
        for dialect in DIALECTS:
            card = ModelCard(dialect.name, dialect.name, "model-1", price=Price(Decimal(1), Decimal(4)))
            model = RemoteBackend(card, dialect, base_url=provider.url(dialect.name), api_key="key")
            agent = Agent(model, instructions="Answer briefly.")
            answer = await agent.run("When is high tide?", budget=Budget(usd="0.01"))
            await agent.aclose()
            charged += answer.spent.usd
            print(f"{dialect.name}: {answer.output} ({answer.spent['tokens']} tokens, ${answer.spent.usd})")
        print(f"charged ${charged}, billed ${provider.billed.usd}")


if __name__ == "__main__":
    anyio.run(main)
