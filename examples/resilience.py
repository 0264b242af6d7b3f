"""Calls that fail: a retry, a fallback for prompts that are too long, and a pool of two endpoints."""

from decimal import Decimal

import anyio

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend
from agentkit.backends.fake import Script
from agentkit.backends.guarded import Guarded
from agentkit.backends.limits import RateLimits
from agentkit.backends.pool import Pool
from agentkit.backends.retry import RetryPolicy
from agentkit.errors import ContextOverflow, RateLimited
from agentkit.executor.resilience import Resilience
from agentkit.trace import Retried
from agentkit.types import ModelCard
from agentkit.usage import Price


def model(name: str, usd: int, replies: Script) -> ScriptedBackend:
    card = ModelCard(name, backend="fake", model=name, price=Price(Decimal(usd), Decimal(4 * usd)))
    return ScriptedBackend(replies, card=card)


busy = RateLimited("east", "too many calls (HTTP 429)")
too_long = ContextOverflow("west", 9_000, 8_000)
east = Guarded(model("east", 1, [busy, "Hello from the east."]), limits=RateLimits(requests_per_minute=600))
west = model("west", 2, ["Hello from the west.", too_long])
long = model("long", 5, "I have read all of it.")

agent = Agent(
    Pool("everyday", [east, west]),
    fallbacks={"context": [long]},
    resilience=Resilience(retry=RetryPolicy(attempts=4, first_pause=0.01), on_overflow="trim"),
)


async def main() -> None:
    for task in ("Hello?", "Read this long text."):
        answer = await agent.run(task, budget=Budget(usd="0.05", seconds=30))
        again = [stamped.event.reason for stamped in answer.trace if isinstance(stamped.event, Retried)]
        calls = [f"{r.what} ${r.charged.usd}" for r in answer.receipts if r.what.startswith("model:")]
        print(answer.output, *again, *calls, sep="\n  ")


if __name__ == "__main__":
    anyio.run(main)
