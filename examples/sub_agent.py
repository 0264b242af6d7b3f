"""An agent as a tool of another: the expert draws from the budget of the run that calls it."""

from decimal import Decimal

import anyio

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.backends.fake import Reply
from agentkit.types import ModelCard
from agentkit.usage import Price


def scripted(name: str, price: int, replies: list[Reply]) -> ScriptedBackend:
    card = ModelCard(name, backend="fake", model=name, price=Price(Decimal(price), Decimal(4 * price)))
    return ScriptedBackend(replies, card=card)


expert = Agent(
    scripted("large", 10, ["A hold is a reservation in the ledger, made before the call leaves."]),
    name="expert",
    description="Explains how budgets work.",
)
desk = Agent(
    scripted("small", 1, [calls(("expert", {"task": "What is a hold?"})), "A hold reserves money before a call."]),
    name="desk",
    tools=[expert.as_tool()],
)


async def main() -> None:
    answer = await desk.run("What is a hold?", budget=Budget(usd="0.02", tool_calls=3))
    print(answer.output)
    for receipt in answer.receipts:
        depth = receipt.scope.count("/")
        print(f"{'  ' * depth}{receipt.what:<14} {receipt.state:<8} ${receipt.charged.usd}")
    print(f"total ${answer.spent.usd}")


if __name__ == "__main__":
    anyio.run(main)
