"""Ten turns of one conversation with a provider that caches what it is told to: with breakpoints and without."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal

import anyio

from agentkit.agent import Agent
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.provider import Provider
from agentkit.backends.remote import RemoteBackend
from agentkit.messages import Message
from agentkit.types import Capabilities, ModelCard
from agentkit.usage import Price

TURNS = 10
PRICE = Price(Decimal(3), Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))
REPLY = "The order has shipped and arrives on Monday, as the carrier said this morning."
_INSTRUCTIONS = " ".join(
    f"Rule {n}: an order of kind {n} is handled as the manual says on page {n}." for n in range(99)
)


def cached_prefix(policy: bool) -> Mapping[str, float]:
    """Return the share of turns that were answered, their cost in dollars and the longest one in seconds.

    `policy` sends breakpoints. The fake provider keeps its own bill, which the ledger must equal.
    """
    return anyio.run(_conversation, policy)


async def _conversation(policy: bool) -> Mapping[str, float]:
    card = ModelCard("cached", "anthropic", "cached", price=PRICE, capabilities=Capabilities(cache_control=policy))
    answered, spent, seconds = 0, Decimal(0), []
    history: tuple[Message, ...] = ()
    with Provider(REPLY) as provider:
        backend = RemoteBackend(card, Anthropic(), base_url=provider.url("anthropic"), api_key="test")
        agent = Agent(backend, instructions=_INSTRUCTIONS)
        for turn in range(TURNS):
            start = time.perf_counter()
            answer = await agent.run(f"Where is order {turn}?", history=history)
            seconds.append(time.perf_counter() - start)
            answered += answer.text == REPLY
            spent += answer.spent.usd
            history = answer.messages
        await agent.aclose()
        if sum(PRICE.nano_usd(billed.usage) for billed in provider.bill) != spent.scaleb(9):
            raise AssertionError("the ledger is not the provider's bill")
    return {
        "cached_prefix_success_ratio": answered / TURNS,
        "cached_prefix_cost_usd": float(spent),
        "cached_prefix_p99_s": max(seconds),
        "cached_prefix_answer_p99_s": max(seconds),  # every turn is answered
    }
