"""Test an application against a provider on this machine: real sockets, faults, and a bill to compare with."""

from decimal import Decimal

import anyio

from agentkit import Agent, Budget
from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.provider import Model, Provider, Reply
from agentkit.types import ModelCard
from agentkit.usage import Price

PRICE = Price(Decimal(3), Decimal(15))
SCRIPT = Model(Reply("High tide is at noon.", thinking="The moon is high."), PRICE)


async def main() -> None:
    with Provider({"captain": SCRIPT}, faults=["overloaded", None]) as provider:
        card = ModelCard("captain", "anthropic", "captain", price=PRICE)
        backend = RemoteBackend(card, Anthropic(), base_url=provider.url("anthropic"), api_key="any")
        answer = await Agent(backend).run("When is high tide?", budget=Budget(usd="0.10"))
        await backend.aclose()
    print(answer.text)
    print(f"requests that came in: {len(provider.requests)}, on the bill: {len(provider.bill)}")
    print(f"the bill is what was spent: {provider.billed.usd == answer.spent.usd}")


if __name__ == "__main__":
    anyio.run(main)
