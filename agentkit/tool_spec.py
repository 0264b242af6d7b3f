"""What an agent definition may say about tools that come from elsewhere: the one key of each is where from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, Tag

from agentkit.spec_parts import Dollars, Flag, PositiveCount, Spec, Text, address, number

Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(number)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]*$")]
PositiveSeconds = Annotated[float, Field(gt=0), BeforeValidator(number)]


class ToolCost(Spec):
    """What one call of a tool costs at most."""

    usd: Dollars


class McpSpec(Spec):
    """A server that speaks the Model Context Protocol."""

    one_of = ("command", "url")

    command: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """The words of the command line that starts it; runs with the rights of this process."""
    url: Annotated[str, BeforeValidator(address)] | None = None
    """Where it is reached by HTTP."""
    env: dict[Text, str] = {}
    """Variables the command gets besides PATH, HOME and the like."""
    headers: dict[Text, str] = {}
    """Sent with each request to `url`."""
    only: tuple[Text, ...] | None = None
    """The tools to take; all of them if not given."""
    prefix: Prefix = ""
    """Goes before the name of each tool."""
    cost: ToolCost | None = None
    """What one call of any of its tools costs."""
    timeout: PositiveSeconds = 60.0
    """Seconds of one call."""
    connect_timeout: PositiveSeconds = 30.0
    """Seconds until it has listed its tools."""


class FetchSpec(Spec):
    """Web pages as text, from public addresses only."""

    ports: Annotated[tuple[Port, ...], Field(min_length=1)] = (80, 443)
    also: tuple[Text, ...] = ()
    """Networks that are not public and may be reached all the same, such as 10.1.0.0/16."""
    headers: dict[Text, str] = {}
    """Sent to the host that is asked for, and to no other it redirects to."""
    limit: PositiveCount = 1_000_000
    """Bytes of a page, unpacked."""
    seconds: PositiveSeconds = 20.0
    """For one page, redirects included."""
    cost: ToolCost | None = None


class SqlSpec(Spec):
    """An SQLite database, read-only."""

    path: Text
    """Relative to this file."""
    tables: Flag = True
    """Whether the model is shown the tables."""
    rows: PositiveCount = 100
    seconds: PositiveSeconds = 5.0
    """Of one statement."""
    cost: ToolCost | None = None


class FilesSpec(Spec):
    """The files below a folder: listed, read and searched."""

    root: Text
    """Relative to this file."""
    writable: Flag = False
    prefix: Prefix = ""
    limit: PositiveCount = 200_000
    """Bytes read or written at once."""
    cost: ToolCost | None = None


class SandboxSpec(Spec):
    """Python code in a sandbox."""

    level: Literal["process", "landlock", "seccomp"] = "seccomp"
    """Refused on machines that do not have it."""
    seconds: PositiveSeconds = 10.0
    memory: PositiveCount = 512_000_000
    """Bytes."""
    cost: ToolCost | None = None


class OpenApiSpec(Spec):
    """The operations of an OpenAPI 3 document."""

    path: Text
    """JSON or YAML, relative to this file."""
    server: Annotated[str, BeforeValidator(address)] | None = None
    """Where requests go; the document's first server if not given."""
    headers: dict[Text, str] = {}
    only: tuple[Text, ...] | None = None
    """The operations to take; all of them if not given."""
    prefix: Prefix = ""
    also: tuple[Text, ...] = ()
    """Networks that are not public and may be reached all the same."""
    cost: ToolCost | None = None
    timeout: PositiveSeconds = 30.0


class McpEntry(Spec):
    """The tools of an MCP server."""

    mcp: McpSpec


class FetchEntry(Spec):
    """A tool that reads web pages."""

    fetch: FetchSpec


class SqlEntry(Spec):
    """A tool that reads a database."""

    sql: SqlSpec


class FilesEntry(Spec):
    """Tools for the files of a folder."""

    files: FilesSpec


class OpenApiEntry(Spec):
    """Tools for the operations of an interface."""

    openapi: OpenApiSpec


class SandboxEntry(Spec):
    """A tool that runs Python code in a sandbox."""

    sandbox: SandboxSpec


SOURCE_FORMS = ("mcp", "fetch", "sql", "files", "openapi", "sandbox")
"""The keys by which the entries are told apart."""
SourceEntry = McpEntry | FetchEntry | SqlEntry | FilesEntry | OpenApiEntry | SandboxEntry
"""Tools that come from elsewhere."""
TaggedSourceEntry = (
    Annotated[McpEntry, Tag("<mcp>")]
    | Annotated[FetchEntry, Tag("<fetch>")]
    | Annotated[SqlEntry, Tag("<sql>")]
    | Annotated[FilesEntry, Tag("<files>")]
    | Annotated[OpenApiEntry, Tag("<openapi>")]
    | Annotated[SandboxEntry, Tag("<sandbox>")]
)
"""The same, told apart by their keys in angle brackets."""
