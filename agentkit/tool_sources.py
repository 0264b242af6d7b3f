"""From the definition of tools that come from elsewhere to the tools or their source."""

from __future__ import annotations

from pathlib import Path

from agentkit.costs import Cost, nano_usd
from agentkit.tool_spec import (
    FetchEntry,
    FetchSpec,
    FilesEntry,
    FilesSpec,
    McpEntry,
    McpSpec,
    OpenApiEntry,
    OpenApiSpec,
    SandboxEntry,
    SandboxSpec,
    SourceEntry,
    SqlEntry,
    SqlSpec,
    ToolCost,
)
from agentkit.tools import Tool
from agentkit.tools.source import ToolSource


def make_source(entry: SourceEntry, folder: Path, name: str | None = None) -> Tool | ToolSource:
    """Make what `entry` says; paths in it are relative to `folder`, a single tool is called `name`."""
    match entry:
        case McpEntry(mcp=mcp):
            return _mcp(mcp, folder)
        case FetchEntry(fetch=fetch):
            return _fetch(fetch, name)
        case SqlEntry(sql=sql):
            return _sql(sql, folder, name)
        case FilesEntry(files=files):
            return _files(files, folder)
        case OpenApiEntry(openapi=openapi):
            return _openapi(openapi, folder)
        case SandboxEntry(sandbox=sandbox):
            return _sandbox(sandbox, name)


def _mcp(spec: McpSpec, folder: Path) -> ToolSource:
    from agentkit.tools.mcp_client import McpServer

    return McpServer(
        command=spec.command or (),
        url=spec.url or "",
        env=spec.env,
        headers=spec.headers,
        cwd=str(folder),
        only=spec.only,
        prefix=spec.prefix,
        cost=_cost(spec.cost),
        timeout=spec.timeout,
        connect_timeout=spec.connect_timeout,
    )


def _fetch(spec: FetchSpec, name: str | None) -> Tool:
    from agentkit.addresses import AddressRules
    from agentkit.tools.fetch import fetch_tool
    from agentkit.web import Web

    web = Web(AddressRules(spec.ports, spec.also), spec.headers, spec.limit, spec.seconds)
    return fetch_tool(web, name=name or "fetch", cost=_cost(spec.cost))


def _sql(spec: SqlSpec, folder: Path, name: str | None) -> Tool:
    from agentkit.tools.sql import sql_tool

    return sql_tool(
        folder / spec.path,
        name=name or "query",
        tables=spec.tables,
        rows=spec.rows,
        seconds=spec.seconds,
        cost=_cost(spec.cost),
    )


def _files(spec: FilesSpec, folder: Path) -> ToolSource:
    from agentkit.tools.files import Folder

    return Folder(folder / spec.root, spec.writable, spec.prefix, spec.limit, _cost(spec.cost))


def _openapi(spec: OpenApiSpec, folder: Path) -> ToolSource:
    from agentkit.tools.openapi import OpenApi

    source = OpenApi(
        folder / spec.path,
        server=spec.server or "",
        headers=spec.headers,
        only=spec.only,
        prefix=spec.prefix,
        also=spec.also,
        cost=_cost(spec.cost),
        timeout=spec.timeout,
    )
    source.tools()  # what is wrong with the document is better said now than in a run
    return source


def _sandbox(spec: SandboxSpec, name: str | None) -> Tool:
    from agentkit.tools.sandbox import Sandbox, python_tool

    sandbox = Sandbox(spec.level, seconds=spec.seconds, memory=spec.memory)
    return python_tool(sandbox, name=name or "run_python", cost=_cost(spec.cost))


def _cost(spec: ToolCost | None) -> Cost:
    return Cost() if spec is None else Cost(usd=nano_usd(spec.usd))
