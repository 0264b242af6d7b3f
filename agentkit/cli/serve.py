"""`agentkit serve`: an agent and its tools for others to call."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from agentkit.cli.console import err
from agentkit.cli.options import File, Limits
from agentkit.costs import Budget
from agentkit.errors import MissingExtra
from agentkit.settings import Settings, budget_text

if TYPE_CHECKING:
    from agentkit.agent import Agent
    from agentkit.budgets import Scope
    from agentkit.tools import Tool


def serve(
    file: File,
    budget: Limits = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Serve http://HOST:PORT/mcp instead of stdin and stdout.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; nobody is authenticated.")] = "127.0.0.1",
    only_tools: Annotated[bool, typer.Option("--only-tools", help="Leave out the agent itself.")] = False,
) -> None:
    """Serve the entry agent of FILE and its tools as an MCP server, all calls under one budget."""
    from agentkit.loader import load

    agent = load(file)
    limits = budget or agent.budget or Settings.load().default_budget
    anyio.run(_serve, agent, limits, None if port is None else (host, port), only_tools)


async def _serve(agent: Agent[str], limits: Budget, address: tuple[str, int] | None, only_tools: bool) -> None:
    from agentkit.budgets import Ledger
    from agentkit.tools.mcp_server import serve_stdio

    async with AsyncExitStack() as stack:
        stack.push_async_callback(agent.aclose)
        tools = [] if only_tools else [agent.as_tool()]
        tools += agent.tools
        for source in agent.sources:
            tools += await stack.enter_async_context(source.open())
        ledger = stack.enter_context(Ledger.open(Settings.load().ledger))
        name = f"serve-{agent.name}-{secrets.token_hex(6)}"  # each start has the whole budget again
        scope = await stack.enter_async_context(ledger.scope(name, limits=limits.limits()))
        err.print(f"serving {', '.join(tool.name for tool in tools)}, limited to {budget_text(limits)}")
        if address is None:
            await serve_stdio(tools, agent.name, scope, agent.policy)
        else:
            await _listen(tools, agent, scope, *address)


async def _listen(tools: list[Tool], agent: Agent[str], scope: Scope, host: str, port: int) -> None:
    from agentkit.tools.mcp_server import mcp_app

    app = mcp_app(tools, agent.name, scope, agent.policy, host=host)
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("mcp", "uvicorn") from error
    await uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning")).serve()
