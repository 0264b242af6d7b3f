"""Tools of real MCP servers: processes of their own, the official SDK."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.errors import ConfigError, ToolSourceError
from agentkit.messages import ToolCall
from agentkit.tools import Tool, invoke
from agentkit.tools.mcp_client import McpServer
from agentkit.trace import ToolFinished

pytestmark = pytest.mark.anyio

PEER = [sys.executable, str(Path(__file__).with_name("mcp_peer.py"))]


async def ask(tools: dict[str, Tool], name: str, arguments: str = "{}") -> tuple[str, bool]:
    result = await invoke(tools[name], ToolCall("1", name, arguments))
    return result.content, result.is_error


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The peer over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*PEER, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


async def test_a_command_gives_tools_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hidden")
    async with McpServer(PEER, env={"GIVEN": "yes"}).open() as offered:
        tools = {tool.name: tool for tool in offered}
        assert set(tools) == {"add", "notes_read_all", "fail", "sleep", "environment", "process"}
        assert tools["add"].spec.description == "Add two numbers."
        assert await ask(tools, "add", '{"a": 2, "b": 40}') == ("42", False)
        assert await ask(tools, "environment", '{"name": "GIVEN"}') == ("yes", False)
        assert await ask(tools, "environment", '{"name": "MY_SECRET"}') == ("not set", False)
        notes, failed = await ask(tools, "notes_read_all")
        assert notes.startswith("xxx") and len(notes) < 21_000 and not failed
        text, failed = await ask(tools, "fail", '{"why": "no luck"}')
        assert failed and "Error executing tool fail" in text  # the SDK keeps the reason to itself
        text, failed = await ask(tools, "add", '{"a": "2"}')  # never reaches the server
        assert failed and "'b' is missing" in text and "'2' is not of type 'integer'" in text
        pid = int((await ask(tools, "process"))[0])
        assert is_alive(pid)
    assert not is_alive(pid)


async def test_a_call_that_is_late_ends_and_the_server_goes_on(url: str) -> None:
    async with McpServer(url=url, timeout=0.5, only=["sleep", "add"], prefix="peer_").open() as offered:
        tools = {tool.name: tool for tool in offered}
        assert list(tools) == ["peer_sleep", "peer_add"]
        text, failed = await ask(tools, "peer_sleep", '{"seconds": 60}')
        assert failed and "no result within 0.5 s" in text
        with anyio.fail_after(60):
            while (await ask(tools, "peer_add", '{"a": 1, "b": 1}')) != ("2", False):
                pass  # late too, on a slow machine


async def test_cancellation_leaves_no_process() -> None:
    pid = 0
    with anyio.CancelScope() as scope:
        async with McpServer(PEER).open() as offered:
            tools = {tool.name: tool for tool in offered}
            pid = int((await ask(tools, "process"))[0])
            scope.cancel()
            await anyio.sleep(60)
    assert pid and not is_alive(pid)


async def test_what_goes_wrong_in_the_block_comes_out_as_it_is(url: str) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with McpServer(url=url).open():
            raise KeyError("mine")


BROKEN = {
    "no such program": (["agentkit-no-such-program"], "No such file"),
    "dies at once": ([sys.executable, "-c", "import sys; sys.exit('out of order')"], "it wrote: out of order"),
    "says nothing": ([sys.executable, "-c", "import sys; sys.stdin.read()"], "no list of tools within 1 s"),
}


@pytest.mark.parametrize(("command", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_server_that_cannot_be_used_says_why(command: list[str], reason: str) -> None:
    server = McpServer(command, connect_timeout=1 if "no list" in reason else 60)
    with pytest.raises(ToolSourceError, match="cannot be opened") as caught:
        async with server.open():
            pytest.fail("it opened")
    assert reason in str(caught.value)


async def test_a_tool_that_it_does_not_have(url: str) -> None:
    with pytest.raises(ToolSourceError, match="it has no tool 'absent'; it has add, "):
        async with McpServer(url=url, only=["absent"]).open():
            pytest.fail("it opened")


async def test_it_is_a_command_or_an_address() -> None:
    for wrong in ({}, {"command": ["a"], "url": "http://127.0.0.1/"}):
        with pytest.raises(ConfigError, match="either a command or a url"):
            McpServer(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a list of words"):
        McpServer("npx server")


async def test_an_agent_uses_a_server_over_http(url: str) -> None:
    model = ScriptedBackend([calls(("add", {"a": 2, "b": 40})), "It is 42."])
    answer = await Agent(model, tools=[McpServer(url=url)]).run("2 + 40?", budget=Budget(usd=1, tool_calls=1))
    assert answer.output == "It is 42."
    finished = [stamped.event for stamped in answer.trace if isinstance(stamped.event, ToolFinished)]
    assert [event.content for event in finished] == ["42"]
    assert answer.spent["tool_calls[add]"] == 1


async def test_each_run_of_an_agent_starts_and_ends_its_own_server() -> None:
    model = ScriptedBackend([calls(("process", {})), "Done.", calls(("process", {})), "Done."])
    agent = Agent(model, tools=[McpServer(PEER, only=["process"])])
    pids: list[int] = []
    for _ in range(2):
        answer = await agent.run("Which process?", budget=Budget(usd=1))
        pids += [int(e.event.content) for e in answer.trace if isinstance(e.event, ToolFinished)]
    assert len(set(pids)) == 2
    assert not any(map(is_alive, pids))


async def test_connecting_counts_against_the_time_of_the_run() -> None:
    silent = McpServer([sys.executable, "-c", "import sys; sys.stdin.read()"])
    with pytest.raises(ToolSourceError, match=r"within 0\.5 s"):
        await Agent(ScriptedBackend(["Hi."]), tools=[silent]).run("Hi", budget=Budget(usd=1, seconds=0.5))
