"""Tools of an MCP server, which is a command on this machine or an address (extra `mcp`, the official SDK).

What a server says about itself is somebody else's text: descriptions are cut to a length, hints such as "read
only" grant nothing, and of this process's environment the command sees only what is needed to start it.
"""

from __future__ import annotations

import math
import shlex
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import anyio

from agentkit.costs import Cost
from agentkit.errors import ConfigError, MissingExtra, ToolFailed, ToolSourceError
from agentkit.redaction import excerpt
from agentkit.tools.context import Context
from agentkit.tools.json_schema import schema_parser
from agentkit.tools.source import MAX_DESCRIPTION, tool_name
from agentkit.tools.tool import Tool
from agentkit.types import ToolSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as ServerTool

_MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server as a `ToolSource`: give `command`, the words of a command line, or `url`, never both.

    `env` are variables the command gets besides PATH, HOME and the like, `headers` go with each request to the
    `url`. `only` names the tools to take, by default all; `prefix` goes before their names. `cost` is what one
    call costs, `timeout` bounds one in seconds, `connect_timeout` the way to the list of tools.
    """

    command: Sequence[str] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    only: Sequence[str] | None = None
    prefix: str = ""
    cost: Cost = field(default_factory=Cost)
    timeout: float | None = 60.0
    connect_timeout: float = 30.0

    def __post_init__(self) -> None:
        if isinstance(self.command, str):
            raise ConfigError(f"an MCP command is a list of words, such as {shlex.split(self.command)!r}")
        if bool(self.command) == bool(self.url):
            raise ConfigError("an MCP server has either a command or a url; give one of them")

    @property
    def name(self) -> str:
        """What it is called in errors: its command or its address."""
        return shlex.join(self.command) if self.command else self.url

    @asynccontextmanager
    async def open(self, seconds: float | None = None) -> AsyncGenerator[Sequence[Tool], None]:
        """Start or reach the server and give its tools; leaving the block ends process and connections."""
        limit = min(self.connect_timeout, math.inf if seconds is None else seconds)
        left_by: Exception | None = None
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
            with anyio.CancelScope(deadline=anyio.current_time() + limit) as scope:
                try:
                    async with self._client(stderr) as client:
                        tools = await self._tools(client)
                        scope.deadline = math.inf
                        try:
                            yield tools
                        except Exception as error:  # raised out here, so that no task group wraps it
                            left_by = error
                except Exception as error:
                    if left_by is None:
                        raise ToolSourceError(self.name, _reason(error) + _last_words(stderr)) from error
            if scope.cancelled_caught:
                raise ToolSourceError(self.name, f"no list of tools within {limit:g} s{_last_words(stderr)}")
        if left_by is not None:
            raise left_by

    def _client(self, stderr: IO[str]) -> AbstractAsyncContextManager[Client]:
        try:
            from mcp import Client, StdioServerParameters, stdio_client
            from mcp.client.streamable_http import streamable_http_client
            from mcp.shared._httpx_utils import create_mcp_http_client
        except ImportError as error:
            raise MissingExtra("mcp", "mcp") from error
        if self.command:
            program, *words = self.command
            parameters = StdioServerParameters(command=program, args=words, env=dict(self.env), cwd=self.cwd)
            return Client(stdio_client(parameters, errlog=stderr))  # type: ignore[arg-type]  # any text file does

        @asynccontextmanager
        async def over_http() -> AsyncGenerator[Client, None]:
            async with (
                create_mcp_http_client(headers=dict(self.headers)) as http,
                Client(streamable_http_client(self.url, http_client=http)) as client,
            ):
                yield client

        return over_http()

    async def _tools(self, client: Client) -> list[Tool]:
        found: list[ServerTool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            if (cursor := page.next_cursor) is None:
                break
        offered = {entry.name: entry for entry in found}
        if unknown := [name for name in self.only or () if name not in offered]:
            raise ConfigError(f"it has no tool {unknown[0]!r}; it has {', '.join(offered) or 'none'}")
        return [self._tool(client, offered[name]) for name in (offered if self.only is None else self.only)]

    def _tool(self, client: Client, offered: ServerTool) -> Tool:
        name = tool_name(offered.name, self.prefix)
        description = excerpt(offered.description or offered.title or "", MAX_DESCRIPTION)
        spec = ToolSpec(name, description, offered.input_schema)
        parse = schema_parser(offered.input_schema)
        gives = tuple(map(str, (offered.output_schema or {}).get("properties") or ()))
        caller = _caller(client, name, offered.name)
        return Tool(spec, caller, self.cost, self.timeout, parse, foreign=True, gives=gives)


def _caller(client: Client, name: str, remote: str) -> Callable[..., Awaitable[object]]:
    async def call(arguments: Mapping[str, Any], context: Context[Any]) -> object:
        from mcp import MCPError

        try:
            result = await client.call_tool(remote, dict(arguments))
        except MCPError as error:
            raise ToolFailed(name, str(error)) from error
        text = _text(result)
        if result.is_error:
            raise ToolFailed(name, text or "the server gave no reason")
        return text if text or result.structured_content is None else result.structured_content

    return call


def _text(result: CallToolResult) -> str:
    """Return the texts of a result; of anything else only what it is, since no model reads its bytes here."""
    parts: list[str] = []
    for block in result.content:
        match block.type:
            case "text":
                parts.append(block.text)
            case "resource_link":
                parts.append(f"[{block.name}: {block.uri}]")
            case "resource":
                text = getattr(block.resource, "text", None)
                parts.append(f"[{block.resource.uri}]" if text is None else text)
            case kind:
                parts.append(f"[{kind}, {block.mime_type}]")
    return "\n".join(parts)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _last_words(stderr: IO[str]) -> str:
    stderr.seek(0)
    said = stderr.read()[-500:].strip()
    return f"; it wrote: {said}" if said else ""
