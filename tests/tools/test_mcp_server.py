"""Our tools as an MCP server, used by the official client."""

import sys
from pathlib import Path

import anyio
import pytest
import uvicorn
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent

from agentkit import tool
from agentkit.budgets import Ledger
from agentkit.costs import Cost
from agentkit.tools.mcp_server import mcp_app, mcp_server
from agentkit.tools.policy import ArgumentRule, Policy, Rule

pytestmark = pytest.mark.anyio

ROOT = str(Path(__file__).resolve().parents[2])

DEFINITION = """
version: 1
models:
  none: {backend: openai, model: none, base_url: "http://127.0.0.1:1/v1", price: {input: 1, output: 1}}
tools:
  double: {python: "served:double"}
budgets:
  small: {usd: 1, tool_calls: 2}
agents:
  desk: {model: none, budget: small, tools: [double, calculate]}
entry: desk
"""


@tool(cost={"usd": "0.4"})
async def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@tool
def broken() -> str:
    """Break."""
    raise RuntimeError("worn out")


def text(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_the_official_client_sees_and_calls_our_tools() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("served", limits={"usd": 1_000_000_000})
        async with Client(mcp_server([double, broken], "ours", scope)) as client:
            offered = (await client.list_tools()).tools
            assert [(entry.name, entry.description) for entry in offered] == [
                ("double", "Double a number."), ("broken", "Break."),
            ]  # fmt: skip
            assert offered[0].input_schema == double.spec.parameters
            assert text(await client.call_tool("double", {"n": 21})) == "42"
            wrong = await client.call_tool("double", {"n": "21"})
            assert wrong.is_error and "write it without quotes" in text(wrong)
            failed = await client.call_tool("broken", {})
            assert failed.is_error and "worn out" in text(failed)
            unknown = await client.call_tool("triple", {})
            assert unknown.is_error and "there is no tool 'triple'" in text(unknown)
        assert scope.view().spent == Cost(
            usd=400_000_000, tool_calls=2, **{"tool_calls[double]": 1, "tool_calls[broken]": 1}
        )


async def test_a_served_tool_ends_with_the_budget() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("served", limits={"usd": 1_000_000_000})
        async with Client(mcp_server([double], "ours", scope)) as client:
            results = [await client.call_tool("double", {"n": n}) for n in range(3)]
        assert [result.is_error for result in results] == [False, False, True]
        assert "has $0.2 left and $0.4 were asked" in text(results[2])
        assert await ledger.verify() == []


async def test_the_policy_holds_for_clients() -> None:
    policy = Policy({"double": Rule("read", arguments={"n": ArgumentRule(most=9)}, max_calls=1)})
    with Ledger.open() as ledger:
        scope = ledger.scope("served")
        async with Client(mcp_server([double], "ours", scope, policy)) as client:
            results = [text(await client.call_tool("double", {"n": n})) for n in (10, 2, 3)]
        assert "has to be 9 at most" in results[0] and results[1] == "4" and "called 1 times" in results[2]
        assert scope.view().spent["tool_calls"] == 1


async def test_our_tools_over_http() -> None:
    with Ledger.open() as ledger:
        app = mcp_app([double], "ours", ledger.scope("served"))
        listener = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        async with anyio.create_task_group() as group:
            group.start_soon(listener._serve)
            while not listener.started:  # noqa: ASYNC110  # it has no event
                await anyio.sleep(0.01)
            port = listener.servers[0].sockets[0].getsockname()[1]
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                assert text(await client.call_tool("double", {"n": 4})) == "8"
            listener.should_exit = True


async def test_agentkit_serve_over_stdio(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text('def double(n: int) -> int:\n    "Double."\n    return 2 * n\n')
    (tmp_path / "app.yaml").write_text(DEFINITION)
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agentkit", "serve", "app.yaml", "--only-tools"],
        cwd=tmp_path,
        env={"PYTHONPATH": ROOT, "XDG_CONFIG_HOME": str(tmp_path)},
    )
    with (tmp_path / "stderr").open("w+") as stderr:
        async with Client(stdio_client(command, errlog=stderr)) as client:
            assert [entry.name for entry in (await client.list_tools()).tools] == ["double", "calculate"]
            answers = [text(await client.call_tool("double", {"n": n})) for n in (1, 2, 3)]
        assert answers[:2] == ["2", "4"]
        assert "0 tool_calls left" in answers[2]
        stderr.seek(0)
        assert stderr.read().startswith("serving double, calculate, limited to usd=1")
