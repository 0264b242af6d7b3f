"""The operations of an OpenAPI document, called on a real server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.errors import ConfigError
from agentkit.messages import ToolCall
from agentkit.tools import Tool, invoke
from agentkit.tools.openapi import OpenApi
from agentkit.trace import ToolFinished

pytestmark = pytest.mark.anyio

DOCUMENT = """
openapi: 3.0.3
servers: [{url: "http://127.0.0.1:1/v1/"}]
paths:
  /orders/{id}:
    parameters: [{$ref: "#/components/parameters/id"}]
    get:
      operationId: orders.get
      summary: Look up an order.
      parameters:
        - {name: fields, in: query, schema: {type: array, items: {type: string}}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
    delete: {operationId: drop, description: Delete an order.}
  /orders:
    post:
      operationId: make
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
    put:
      operationId: upload
      requestBody: {required: true, content: {image/png: {schema: {type: string}}}}
  /away: {get: {}, post: {operationId: away}}
components:
  parameters:
    id: {name: id, in: path, required: true, description: The number., schema: {type: string}}
  schemas:
    Order:
      type: object
      required: [item]
      properties:
        item: {type: string}
        note: {type: string, nullable: true}
        parts: {type: array, items: {$ref: "#/components/schemas/Order"}}
"""


async def echo(request: Request) -> Response:
    if request.url.path.endswith("404"):
        return JSONResponse({"detail": "no such order"}, 404)
    body = await request.body()
    seen = {name: request.headers.get(name) for name in ("authorization", "x-trace", "cookie")}
    return JSONResponse(
        [request.method, request.scope["raw_path"].decode(), request.url.query, body.decode(), seen]
    )


async def away(request: Request) -> Response:
    return RedirectResponse("http://169.254.169.254/", 307)


@asynccontextmanager
async def source(folder: Path, **options: Any) -> AsyncIterator[OpenApi]:
    """A server on loopback and the document that describes it."""
    app = Starlette(
        routes=[
            Route("/v1/away", away, methods=["GET", "POST"]),
            Route("/v1/{rest:path}", echo, methods=["GET", "POST", "DELETE"]),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    (folder / "api.yaml").write_text(DOCUMENT)
    async with anyio.create_task_group() as group:
        group.start_soon(server._serve)
        while not server.started:  # noqa: ASYNC110  # it has no event
            await anyio.sleep(0.01)
        base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        try:
            yield OpenApi(
                folder / "api.yaml", base, {"Authorization": "Bearer k"}, also=("127.0.0.1/32",), **options
            )
        finally:
            server.should_exit = True


async def ask(tools: dict[str, Tool], name: str, **arguments: Any) -> tuple[Any, bool]:
    result = await invoke(tools[name], ToolCall("1", name, json.dumps(arguments)))
    return (result.content, True) if result.is_error else (json.loads(result.content), False)


async def test_operations_are_tools(tmp_path: Path) -> None:
    async with source(tmp_path) as api:
        tools = {tool.name: tool for tool in api.tools()}
        assert list(tools) == ["orders_get", "drop", "make", "get_away", "away"]  # none that needs more than JSON
        assert tools["orders_get"].spec.description == "Look up an order."
        assert all(tool.foreign for tool in tools.values())
        assert tools["make"].spec.parameters["properties"]["body"]["properties"]["note"] == {
            "type": ["string", "null"]
        }
        headers = {"authorization": "Bearer k", "x-trace": None, "cookie": None}
        assert await ask(tools, "orders_get", id="a/b ?#", fields=["x", "y&"], **{"X-Trace": "t"}) == (
            ["GET", "/v1/orders/a%2Fb%20%3F%23", "fields=x&fields=y%26", "", {**headers, "x-trace": "t"}], False,
        )  # fmt: skip
        assert await ask(tools, "drop", id="7") == (["DELETE", "/v1/orders/7", "", "", headers], False)
        order = {"item": "anvil", "note": None, "parts": [{"item": "horn"}]}
        made, failed = await ask(tools, "make", body=order)
        assert json.loads(made[3]) == order and not failed


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "another place": ("orders_get", {"id": ".."}, "cannot be '..' in a path"),
    "nothing": ("orders_get", {"id": ""}, "cannot be '' in a path"),
    "another header": ("orders_get", {"id": "7", "X-Trace": "a\r\nHost: b"}, "cannot go into a header"),
    "no cookie": ("orders_get", {"id": "7", "session": "s"}, "'session' was unexpected"),
    "missing": ("drop", {}, "'id' is missing"),
    "body": ("make", {"body": {"note": "x"}}, "'body.item' is missing"),
    "an answer that says no": ("orders_get", {"id": "404"}, "the server answered 404: {\"detail\":"),
    "a redirect": ("get_away", {}, "port 80 is not allowed"),
    "a redirect of a change": ("away", {}, "only reading follows that"),
}  # fmt: skip


async def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    async with source(tmp_path) as api:
        tools = {tool.name: tool for tool in api.tools()}
        for case, (name, arguments, problem) in WRONG.items():
            text, failed = await ask(tools, name, **arguments)
            assert failed and problem in text, (case, text)


async def test_an_agent_has_what_was_chosen(tmp_path: Path) -> None:
    async with source(tmp_path, only=["drop"], prefix="shop_", timeout=9.0) as api:
        model = ScriptedBackend([calls(("shop_drop", {"id": "7"})), "Done."])
        answer = await Agent(model, tools=[api]).run("Drop 7", budget=Budget(usd=1))
        [result] = [s.event.content for s in answer.trace if isinstance(s.event, ToolFinished)]
        assert result.startswith('["DELETE"')


async def test_a_server_that_is_not_public_is_refused(tmp_path: Path) -> None:
    async with source(tmp_path) as api:
        tools = {tool.name: tool for tool in OpenApi(api.path, api.server).tools()}
        text, failed = await ask(tools, "drop", id="7")
        assert failed and "not public" in text


BAD = {
    "no file": (None, "cannot be read"),
    "no YAML": ("a: [", "cannot be read"),
    "too old": ("swagger: '2.0'", "is no OpenAPI 3 document"),
    "no server": ("openapi: 3.1.0", "names no server"),
    "a reference out": ("openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: 'b#/'}]}}}", "leads to nothing"),
    "another host": ("openapi: 3.1.0\npaths: {.evil.example/a: {get: {}}}", "has to begin with '/'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), BAD.values(), ids=BAD)
async def test_a_document_that_cannot_be_used(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "api.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        OpenApi(path, "" if problem == "names no server" else "https://api.example").tools()
    path.write_text(DOCUMENT)
    with pytest.raises(ConfigError, match="has no operation 'absent'; it has orders.get"):
        OpenApi(path, only=["absent"]).tools()
