"""Texts to vectors under a budget: the call is held before it leaves and settled when it is back.

The provider is a fake on loopback; any OpenAI-compatible address will do.
"""

from decimal import Decimal

import anyio

from agentkit import ModelCard, Price
from agentkit.backends.embeddings import RemoteEmbedder
from agentkit.backends.provider import Provider
from agentkit.budgets import Ledger

TEXTS = ["high tide at noon", "low tide at six", "bond prices fell", "prices of bonds and stocks"]


async def main() -> None:
    card = ModelCard("small", "openai", "text-embedding-3-small", price=Price(Decimal("0.02"), Decimal(0)))
    scope = Ledger.open().scope("search", limits={"usd": 1_000_000})
    with Provider("") as provider:
        embedder = RemoteEmbedder(card, base_url=provider.url("openai"), api_key="key")
        vectors = await embedder.embed(TEXTS, scope)
        (query,) = await embedder.embed(["when is high tide"], scope)
        await embedder.aclose()
    nearest = (vectors @ query).argmax()  # vectors have length 1, so this is the cosine
    print(f"nearest: {TEXTS[nearest]}")
    print(f"{len(scope.receipts())} calls, ${scope.view().spent.usd:f}")


if __name__ == "__main__":
    anyio.run(main)
