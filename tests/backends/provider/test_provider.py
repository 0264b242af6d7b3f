"""The fake provider from outside: what it is asked, what it charges, what it refuses."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentkit.backends import calls
from agentkit.backends.provider import Model, Provider
from agentkit.errors import BadRequest, ContextOverflow
from agentkit.messages import Image, Message, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.types import Request, ToolSpec
from agentkit.usage import Price, Usage
from tests.backends.dialects import DIALECTS, remote
from tests.backends.provider.plain import VERSION, ask, post

pytestmark = pytest.mark.anyio

DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1beta/models/m:generateContent")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ASK = Request(messages=(user("hi"),), max_output_tokens=50)


@DIALECT
async def test_a_script_reads_the_request_as_a_scripted_backend_gives_it(dialect: Any) -> None:
    """So a script that was written for `ScriptedBackend` runs on a provider unchanged."""
    asked: list[Request] = []

    def script(request: Request) -> str:
        asked.append(request)
        return "ok"

    call = ToolCall("call-1", "weather", '{"city": "Paris"}')
    request = Request(
        messages=(
            system("Be brief."),
            Message("user", "What is this?", images=(Image("image/png", b"\x89PNG"),)),
            assistant("Let me look.", (call,)),
            tool_message(ToolResult("call-1", "weather", "sunny")),
        ),
        max_output_tokens=77,
        tools=(ToolSpec("weather", "Tells the weather.", SCHEMA),),
        tool_choice="required",
        temperature=0.5,
        output_schema=SCHEMA,
    )
    with Provider(script) as provider:
        backend = remote(dialect, provider)
        await backend.complete(request)
        await backend.aclose()
    (read,) = asked
    assert [(m.role, m.text, m.images) for m in read.messages] == [
        (m.role, m.text, m.images) for m in request.messages
    ]
    assert [(c.name, json.loads(c.arguments)) for m in read.messages for c in m.tool_calls] == [
        ("weather", {"city": "Paris"})
    ]
    assert (read.max_output_tokens, read.tools, read.tool_choice) == (77, request.tools, "required")


@DIALECT
async def test_scripts_are_played_in_order_and_then_refuse(dialect: Any) -> None:
    with Provider([calls(("now", {})), "Noon."]) as provider:
        backend = remote(dialect, provider)
        first, second = await backend.complete(ASK), await backend.complete(ASK)
        with pytest.raises(BadRequest, match="no reply left"):
            await backend.complete(ASK)
        await backend.aclose()
    assert [call.name for call in first.message.tool_calls] == ["now"]
    assert second.message.text == "Noon."
    assert len(provider.bill) == 2 and len(provider.requests) == 3


@DIALECT
async def test_a_prompt_beyond_the_window_is_refused_unbilled(dialect: Any) -> None:
    with Provider({"small": Model("ok", context_window=10)}) as provider:
        backend = remote(dialect, provider, model="small")
        with pytest.raises(ContextOverflow) as caught:
            await backend.complete(Request(messages=(user("word " * 20),), max_output_tokens=5))
        with pytest.raises(BadRequest):
            await remote(dialect, provider, model="absent").complete(ASK)
        await backend.aclose()
    assert caught.value.window == 10 and caught.value.tokens > 20
    assert provider.bill == []


def test_the_bill_is_the_price_of_the_usage(tmp_path: Path) -> None:
    price = Price(Decimal(3), Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))
    file = tmp_path / "bill.jsonl"
    with Provider({"m": Model("one two three", price)}, bill_file=file) as provider:
        said = post(
            provider, "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        )
    (line,) = provider.bill
    assert line.usage == Usage(4, output_tokens=3)
    assert line.nano_usd == 4 * 3_000 + 3 * 15_000 == provider.billed["usd"]
    assert said["usage"]["completion_tokens"] == 3
    assert json.loads(file.read_text())["nano_usd"] == line.nano_usd


def test_what_cannot_be_read_is_refused() -> None:
    pirate, number = b'[{"role": "pirate", "content": "hi"}]', b'[{"role": "user", "content": 5}]'
    with Provider("ok") as provider:
        for path in PATHS:
            for body in (b"{", b"[]", b"{}", b'{"model": "m", "max_tokens": 1, "messages": "hi"}'):
                status, said = ask(provider, "POST", path, body, VERSION)
                assert status == 400 and said["error"]["message"]
        for messages, why in ((pirate, "no role 'pirate'"), (number, "content is int")):
            body = b'{"model": "m", "messages": ' + messages + b"}"
            assert why in ask(provider, "POST", PATHS[0], body, VERSION)[1]["error"]["message"]
        assert "anthropic-version" in str(ask(provider, "POST", "/v1/messages", b"{}", {}))
        assert "'messages' is missing" in str(ask(provider, "POST", "/v1/messages", b"{}", VERSION))
    assert provider.bill == []


def test_the_lists_of_models() -> None:
    with Provider({"a": "x", "b": "y"}) as provider:
        openai, anthropic, google = (
            ask(provider, "GET", path, None, headers)[1]
            for path, headers in (("/v1/models", {}), ("/v1/models", VERSION), ("/v1beta/models", {}))
        )
    assert [model["id"] for model in openai["data"]] == ["a", "b"]
    assert [model["display_name"] for model in anthropic["data"]] == ["a", "b"]
    assert [model["name"] for model in google["models"]] == ["models/a", "models/b"]


def test_embeddings_have_length_one_and_see_shared_words() -> None:
    with Provider("ok") as provider:
        body = {"model": "e", "input": ["high tide", "tide high", "low ebb", ""]}
        said = post(provider, "/v1/embeddings", body)
    first, same, other, _ = (item["embedding"] for item in said["data"])
    assert [math.hypot(*item["embedding"]) for item in said["data"]] == pytest.approx([1.0] * 4)
    assert math.dist(first, same) < 1e-9 < math.dist(first, other)
    assert provider.bill[0].usage == Usage(said["usage"]["prompt_tokens"]) == Usage(6)
