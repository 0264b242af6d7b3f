"""Tools over the Model Context Protocol: this script serves two, and an agent uses them from another process."""

import sys
from decimal import Decimal

import anyio

from agentkit import Agent, Budget, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import Cost, nano_usd
from agentkit.tools.mcp_client import McpServer
from agentkit.tools.mcp_server import serve_stdio


@tool
def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@tool
def shout(text: str) -> str:
    """Write in capitals."""
    return text.upper()


async def serve() -> None:
    with Ledger.open() as ledger:
        await serve_stdio([double, shout], "example", ledger.scope("served", limits={"tool_calls": 100}))


async def use() -> None:
    server = McpServer([sys.executable, __file__, "serve"], cost=Cost(usd=nano_usd(Decimal("0.001"))))
    async with server.open() as tools:
        print(", ".join(tool.name for tool in tools))
    agent = Agent(ScriptedBackend([calls(("double", {"n": 21})), "It is 42."]), tools=[server])
    answer = await agent.run("Twice 21?", budget=Budget(usd="0.05", tool_calls=3))
    print(answer.output)
    for receipt in answer.receipts:
        if receipt.what.startswith("tool:"):
            print(receipt.what, f"${receipt.charged.usd.normalize()}")


if __name__ == "__main__":
    anyio.run(serve if "serve" in sys.argv else use)
