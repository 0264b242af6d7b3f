"""Tools that come from elsewhere, from their entry in a definition to the object."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentkit.costs import Cost
from agentkit.errors import SpecError
from agentkit.loader import load
from agentkit.tools.files import Folder
from agentkit.tools.mcp_client import McpServer
from agentkit.tools.openapi import OpenApi
from agentkit.tools.policy import ArgumentRule, Policy, Rule
from agentkit.tools.sandbox import levels

HEAD = """\
version: 1
entry: desk
models: {m: {backend: openai, model: m, base_url: "http://127.0.0.1:1/v1", price: {input: 1, output: 4}}}
"""


def write(folder: Path, body: str) -> Path:
    path = folder / "agents.yaml"
    path.write_text(HEAD + body)
    return path


def with_tool(folder: Path, entry: str) -> Path:
    return write(folder, f"tools:\n  it: {entry}\nagents:\n  desk: {{model: m, tools: [it]}}\n")


def test_an_mcp_command(tmp_path: Path) -> None:
    entry = "{mcp: {command: [server, --fast], env: {A: b}, only: [x], prefix: s_, cost: {usd: 0.5}, timeout: 9}}"
    agent = load(with_tool(tmp_path, entry))
    assert agent.tools == ()
    assert agent.sources == (
        McpServer(
            ("server", "--fast"),
            env={"A": "b"},
            cwd=str(tmp_path),
            only=("x",),
            prefix="s_",
            cost=Cost(usd=500_000_000),
            timeout=9,
        ),
    )


def test_an_mcp_address_among_the_tools_of_an_agent(tmp_path: Path) -> None:
    entry = '{mcp: {url: "https://mcp.example/mcp", headers: {Authorization: "Bearer x"}}}'
    [source] = load(write(tmp_path, f"agents:\n  desk: {{model: m, tools: [{entry}]}}\n")).sources
    assert isinstance(source, McpServer)
    assert (source.url, source.headers) == ("https://mcp.example/mcp", {"Authorization": "Bearer x"})
    assert "Bearer" not in repr(source)


def test_files_sql_web_and_code(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("CREATE TABLE orders (id)")
    body = f"""
tools:
  notes: {{files: {{root: notes, writable: true, prefix: n_, limit: 99}}}}
  shop: {{sql: {{path: shop.db, rows: 3, cost: {{usd: 0.5}}}}}}
  web: {{fetch: {{ports: [443], also: [10.1.0.0/16], limit: 9, seconds: 2}}}}
  code: {{sandbox: {{level: {levels()[-1]}, seconds: 2}}}}
agents:
  desk: {{model: m, tools: [notes, shop, web, code, {{files: {{root: notes}}}}]}}
"""
    agent = load(write(tmp_path, body))
    assert [tool.name for tool in agent.tools] == ["shop", "web", "code"]
    assert "CREATE TABLE orders" in agent.tools[0].spec.description
    assert agent.tools[0].cost == Cost(usd=500_000_000)
    assert agent.sources == (Folder(tmp_path / "notes", True, "n_", 99), Folder(tmp_path / "notes"))


def test_an_openapi_document(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text('{"openapi": "3.1.0", "paths": {"/a": {"get": {"operationId": "a"}}}}')
    entry = (
        '{openapi: {path: api.json, server: "https://api.example/v1", only: [a], also: [10.0.0.0/8], prefix: x_}}'
    )
    [source] = load(with_tool(tmp_path, entry)).sources
    server = "https://api.example/v1"
    assert source == OpenApi(tmp_path / "api.json", server, only=("a",), also=("10.0.0.0/8",), prefix="x_")


def test_a_policy(tmp_path: Path) -> None:
    body = """
policies:
  careful:
    "find_*": {effect: read, trusted_output: true}
    cancel: {after_untrusted: asked, asked_for: [cancel], max_calls: 1, arguments: {order: {least: 1, most: 99}}}
    pay: {effect: money, approval: true, max_cost: {usd: 0.5}, arguments: {to: {choices: [acme]}}}
agents:
  desk: {model: m, policy: careful, tools: [calculate]}
"""
    assert load(write(tmp_path, body)).policy == Policy(
        {
            "find_*": Rule("read", trusted_output=True),
            "cancel": Rule(
                after_untrusted="asked",
                asked_for=("cancel",),
                max_calls=1,
                arguments={"order": ArgumentRule(least=1, most=99)},
            ),
            "pay": Rule(
                "money",
                approval=True,
                max_cost=Cost(usd=500_000_000),
                arguments={"to": ArgumentRule(choices=("acme",))},
            ),
        }
    )


BAD_POLICIES = {
    "effect": ("{find: {effect: reed}}", "policy", "did you mean 'read'?"),
    "pattern": (
        "{find: {arguments: {q: {pattern: '('}}}}",
        "policy",
        "policies.policy.find: an argument's pattern",
    ),
    "unknown": ("{find: {effect: read}}", "polizy", "is not one of the policies; did you mean 'policy'?"),
}


@pytest.mark.parametrize(("rules", "named", "problem"), BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_what_is_wrong_with_a_policy(tmp_path: Path, rules: str, named: str, problem: str) -> None:
    body = f"policies: {{policy: {rules}}}\nagents:\n  desk: {{model: m, policy: {named}}}\n"
    with pytest.raises(SpecError) as caught:
        load(write(tmp_path, body))
    assert problem in str(caught.value)
    assert ".yaml:" in str(caught.value)


BAD = {
    "neither": ("{mcp: {}}", "5:8: tools.it.mcp needs command or url"),
    "both": ('{mcp: {command: [a], url: "http://h/"}}', "takes one of command and url"),
    "text": ("{mcp: {command: npx server}}", "tools.it.mcp.command"),
    "no file": ("{sql: {path: absent.db}}", "5:3: the tool cannot be made: the database"),
    "no folder": ("{files: {root: absent}}", "name one that exists"),
    "no document": ("{openapi: {path: absent.json}}", "the OpenAPI document"),
    "no network": ("{fetch: {also: [here]}}", "a network is written like 10.1.0.0/16"),
    "no level": ("{sandbox: {level: docker}}", "tools.it.sandbox.level"),
    "unknown key": ("{mcp: {comand: [a]}}", "did you mean 'command'?"),
}


@pytest.mark.parametrize(("entry", "problem"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_entry_is_said_with_its_place(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(with_tool(tmp_path, entry))
    assert problem in str(caught.value)
