"""The SDK in one file: a tool, an agent, a budget, and where the money went.

The model is scripted, so this runs anywhere and costs nothing; put "openai:gpt-5-mini" or "zoo:nano" in its place.
"""

import anyio

from agentkit import Agent, Budget, tool
from agentkit.backends import ScriptedBackend, calls


@tool(cost={"usd": "0.001"})
async def search(query: str) -> str:
    """Search the web."""
    return f"{query}: 330 metres"


async def main() -> None:
    model = ScriptedBackend(
        [calls(("search", {"query": "height of the Eiffel Tower"})), "The Eiffel Tower is 330 metres high."]
    )
    agent = Agent(model, tools=[search], instructions="Answer briefly.")

    answer = await agent.run("How high is the Eiffel Tower?", budget=Budget(usd="0.05", seconds=30, tool_calls=10))

    print(answer.output)
    print(f"status {answer.status}, ${answer.spent.usd} of $0.05 spent")
    for receipt in answer.receipts:
        print(f"  {receipt.what:<16} {receipt.state:<8} ${receipt.charged.usd}")
    assert (
        sum(receipt.charged.usd for receipt in answer.receipts)
        == answer.spent.usd
        == model.billed.usd + search.cost.usd
    )


if __name__ == "__main__":
    anyio.run(main)
