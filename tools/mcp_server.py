"""Our tools as an MCP server, over stdio or HTTP (extra `mcp`, the official SDK).

Each call is held and charged in a scope of the ledger, so a server has a budget like any run: once it is spent,
calls are answered with the refusal.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentkit.budgets import Scope
from agentkit.errors import BudgetError, MissingExtra, ToolError
from agentkit.messages import ToolCall
from agentkit.tools.arguments import parse_arguments
from agentkit.tools.enforcer import Enforcer
from agentkit.tools.invoke import invoke
from agentkit.tools.policy import Policy
from agentkit.tools.registry import Registry
from agentkit.tools.tool import Tool

if TYPE_CHECKING:
    from mcp.server import Server
    from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult
    from starlette.applications import Starlette


async def serve_stdio(tools: Sequence[Tool], name: str, scope: Scope, policy: Policy | None = None) -> None:
    """Serve `tools` on stdin and stdout until the client closes them; nothing else may write to stdout."""
    server = mcp_server(tools, name, scope, policy)
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def mcp_app(
    tools: Sequence[Tool], name: str, scope: Scope, policy: Policy | None = None, *, host: str = "127.0.0.1"
) -> Starlette:
    """Return the ASGI application that serves `tools` at `/mcp`; `host` is where it will listen.

    On loopback it refuses requests with another Host header. It authenticates nobody: elsewhere than on loopback
    put something before it that does.
    """
    return mcp_server(tools, name, scope, policy).streamable_http_app(host=host)


def mcp_server(tools: Sequence[Tool], name: str, scope: Scope, policy: Policy | None = None) -> Server[Any]:
    """Return the SDK's server object for `tools`, whose calls are charged in `scope`; MissingExtra.

    Arguments, approvals and limits of `policy` hold, over the life of the server. What taints its clients' models
    is for the clients to know.
    """
    try:
        from mcp import types
        from mcp.server import Server
    except ImportError as error:
        raise MissingExtra("mcp", "mcp") from error
    registry = Registry(tools)
    enforcer = Enforcer(policy or Policy(), (), ())

    async def list_tools(context: object, params: object) -> ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name, description=tool.spec.description, input_schema=dict(tool.spec.parameters)
                )
                for tool in registry
            ]
        )

    async def call_tool(context: object, params: CallToolRequestParams) -> CallToolResult:
        text, failed = await _call(registry, enforcer, scope, params.name, json.dumps(params.arguments or {}))
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)

    return Server(name, on_list_tools=list_tools, on_call_tool=call_tool)


async def _call(tools: Registry, enforcer: Enforcer, scope: Scope, name: str, arguments: str) -> tuple[str, bool]:
    call = ToolCall(secrets.token_hex(8), name, arguments)
    try:
        tool = tools.get(name)
        parse_arguments(tool, call)  # a call that cannot run is not paid for
        await enforcer.admit(tool, call)
        hold = await scope.reserve(tool.hold, what=f"tool:{name}", dispatch=True)
        await hold.settle(tool.hold)
        result = await invoke(tool, call, scope=scope)
    except (BudgetError, ToolError) as error:
        return f"Error: {error}", True
    return result.content, result.is_error
