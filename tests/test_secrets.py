"""Fifty planted keys, in all the places keys turn up, are in nothing that is written down."""

from __future__ import annotations

import json
import logging
import random
import string
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentkit import redaction
from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends import CachingBackend, Recorder, RemoteBackend, ScriptedBackend, calls
from agentkit.backends.fake import Reply
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.definition import read_definition
from agentkit.errors import AgentkitError, BackendUnavailable, OutputError, ToolFailed
from agentkit.otel import OtelSink
from agentkit.tools import tool
from agentkit.trace import JsonlSink, TextDelta
from agentkit.types import Delta, ModelCard, Request

pytestmark = pytest.mark.anyio

DRAW = random.Random(50)


def text(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAW.choice(letters) for _ in range(length - 1)) + "7"


def planted(count: int) -> list[str]:
    """Keys of the shapes of well-known services, whoever they belong to."""
    makers = [
        lambda: f"sk-proj-{text(40)}",
        lambda: f"sk-ant-api03-{text(30)}-{text(20)}",
        lambda: f"AIza{text(35)}",
        lambda: f"AKIA{text(16, string.ascii_uppercase + string.digits)}",
        lambda: f"ghp_{text(36)}",
        lambda: f"hf_{text(34)}",
        lambda: f"gsk_{text(40)}",
        lambda: f"xoxb-{text(12, string.digits)}-{text(24)}",
        lambda: f"eyJ{text(20)}.eyJ{text(40)}.{text(30)}",
        lambda: f"postgres://app:{text(20)}@",
    ]
    return [makers[place % len(makers)]() for place in range(count)]


ARGUMENTS, OUTPUTS, EXCEPTIONS, CHUNKS = (planted(10) for _ in range(4))
SENT = [text(24) for _ in range(10)]  # of no shape: known since they are given as api_key, header or variable
KEYS = [*ARGUMENTS, *OUTPUTS, *EXCEPTIONS, *CHUNKS, *SENT]


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    before = redaction._patterns
    yield
    redaction._patterns = before


@tool
async def look_up(where: list[str]) -> str:
    "Look things up."
    return "\n".join(f"entry {place}: {key}" for place, key in enumerate(OUTPUTS)) + " ".join(SENT[:2])


@tool
async def connect() -> str:
    "Connect to something."
    raise ConnectionError(f"refused: {' '.join(EXCEPTIONS)}")


class InPieces(ScriptedBackend):
    """A model whose stream cuts its words, and so every key, into pieces of three characters."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        async for delta in super().stream(request):
            pieces = [delta.text[start : start + 3] for start in range(0, len(delta.text), 3)]
            for piece in pieces[:-1]:
                yield Delta(piece)
            yield Delta(pieces[-1] if pieces else "", *_rest(delta))


def _rest(delta: Delta) -> tuple[Any, ...]:
    return delta.tool_calls, delta.logprobs, delta.finish_reason, delta.usage


def leaks(written: str) -> list[str]:
    """The keys of which twelve characters in a row are in a text, wherever they were cut."""
    parts = {key: {key[at : at + 12] for at in range(len(key) - 11)} for key in KEYS}
    return [key for key in KEYS if any(part in written for part in parts[key])]


def test_half_a_key_would_be_found() -> None:
    assert len(KEYS) == 50
    assert all(leaks(f"seen {key[len(key) // 4 : len(key) // 4 + 12]}…") for key in KEYS)


async def test_a_run_writes_none_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for key in SENT[:2]:
        redaction.hide(key)
    script: list[Reply] = [
        calls(("look_up", {"where": ARGUMENTS}), ("connect", {})),
        f"They are {' and '.join(CHUNKS)}, {SENT[0]}.",
    ]
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    cassette, cache, trace = (tmp_path / name for name in ("cassette.jsonl", "cache.sqlite", "trace.jsonl"))
    backend = CachingBackend(Recorder(InPieces(script), cassette), cache)
    agent = Agent(backend, tools=[look_up, connect], budget="unlimited")

    class Both(JsonlSink):
        """The trace's file and the spans, from the same events."""

        def __init__(self) -> None:
            super().__init__(trace)
            self.spans = OtelSink(provider, content=True)

        def write(self, stamped: Any) -> None:
            super().write(stamped)
            self.spans.write(stamped)

    shown = []
    async with agent.stream("Find all keys: " + " ".join(ARGUMENTS[:3]), trace=Both()) as events:
        async for event in events:
            shown.append(event)
    answer = shown.pop()
    assert isinstance(answer, Answer)
    assert all(key in answer.text for key in CHUNKS), "the user gets what the model said"
    written = {
        "events": repr(shown),
        "pieces": "".join(event.text for event in shown if isinstance(event, TextDelta)),
        "trace": repr(answer.trace),
        "file": trace.read_text(),
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "cassette": cassette.read_text(),
        "cache": cache.read_bytes().decode("latin-1"),
        "logs": caplog.text,
        "receipts": repr(answer.receipts),
    }
    assert {name: found for name, content in written.items() if (found := leaks(content))} == {}
    assert all(
        redaction.REDACTED in written[name] for name in ("events", "pieces", "trace", "file", "spans", "cassette")
    )
    provider.shutdown()


@pytest.mark.parametrize("key", KEYS[:40:4])
def test_an_error_has_none_in_its_text_or_its_fields(key: str) -> None:
    unavailable, failed = BackendUnavailable("m", f"seen {key}"), ToolFailed("t", f"seen {key}")
    texts = [unavailable.detail, failed.cause, *map(str, (unavailable, failed, OutputError("", [key])))]
    assert leaks(" ".join(texts)) == []
    assert unavailable.detail.startswith("seen [redacted]") or key.startswith("postgres")


ECHOES = {
    "an error": (401, lambda seen: json.dumps({"error": {"message": f"Incorrect API key provided: {seen}"}})),
    "an error in a long text": (500, lambda seen: "x" * 480 + seen),
    "no JSON": (200, lambda seen: f"Hello {seen}"),
    "another shape": (200, lambda seen: json.dumps({"choices": seen})),
    "an error under 200": (200, lambda seen: json.dumps({"error": {"message": seen, "code": 400}})),
}


@contextmanager
def echoing(status: int, wrap: Any) -> Iterator[str]:
    """A provider that tells everybody what it was sent."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = wrap(" ".join(self.headers.values())).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("echo", ECHOES)
async def test_no_error_tells_what_was_sent(echo: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {f"x-key-{place}": key for place, key in enumerate(SENT[2:])}
    with echoing(*ECHOES[echo]) as url:
        backend = RemoteBackend(
            ModelCard("m", "openai", "m"), OpenAIChat(), base_url=url, api_key=SENT[1], headers=headers
        )
        with pytest.raises(AgentkitError) as caught:
            await Agent(backend, budget="requests=9").run("Hello", trace=JsonlSink(tmp_path / "trace.jsonl"))
        await backend.aclose()
    told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert leaks(told + caplog.text + read(tmp_path / "trace.jsonl")) == []


def read(path: Path) -> str:
    return path.read_text()


def test_what_a_definition_takes_from_secret_variables_is_known(tmp_path: Path) -> None:
    path = tmp_path / "agentkit.yaml"
    path.write_text(
        "version: 1\nmodels:\n  m: {backend: openai, model: x, api_key: '${env:SHOP_KEY}'}\n"
        "agents:\n  main: {model: m, instructions: 'Ask at ${env:REGION}.'}\nentry: main\n"
    )
    read_definition(path, {"SHOP_KEY": SENT[9], "REGION": "somewhere"})
    assert redaction.redact(f"{SENT[9]} somewhere") == f"{redaction.REDACTED} somewhere"
