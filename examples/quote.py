"""What a task will cost, before anything is spent, from what earlier runs of the same agent cost.

Without earlier runs the range goes from the least budget that has an answer to the limit. A short run may cost
less than the former.
"""

import random

import anyio

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend


async def main() -> None:
    draw = random.Random(7)
    agent = Agent(ScriptedBackend(lambda request: "word " * draw.randint(20, 200)), max_output_tokens=400)
    budget = Budget(usd="0.01", tokens=2_000)

    first = agent.quote("Sum up the report.", budget=budget)
    for _ in range(100):
        await agent.run("Sum up the report.", budget=budget)
    learnt = agent.quote("Sum up the report.", budget=budget)

    for quote in (first, learnt):
        low, high, most = quote.p10["tokens"], quote.p90["tokens"], quote.maximum["tokens"]
        print(f"{quote.runs} earlier runs: {low} to {high} tokens, never above {most}")
    assert first.p90["tokens"] == first.maximum["tokens"]
    assert learnt.p10["tokens"] < learnt.p90["tokens"] < first.p90["tokens"]


if __name__ == "__main__":
    anyio.run(main)
