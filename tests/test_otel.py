"""The trace as OpenTelemetry spans: what a run did, what it cost, and that a collector can read it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from agentkit import otel
from agentkit.backends.fake import Faulty, ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, MissingExtra
from agentkit.executor.resilience import Resilience
from agentkit.otel import OtelSink
from agentkit.tools import tool
from agentkit.trace import Event, Reserved, Retried, RunStarted, Settled, Stamped, Verified
from agentkit.usage import Usage
from tests.scenario import ANSWER, TASK, agent, play

pytestmark = pytest.mark.anyio

NANO = Decimal(10) ** 9


class Spans:
    """A tracer provider that remembers its spans, and the spans by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def sink(self, **options: Any) -> OtelSink:
        return OtelSink(self.provider, **options)

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.all(name)
        return span


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert parent.context is not None
    return span.parent is not None and span.parent.span_id == parent.context.span_id


async def test_a_run_is_a_tree_of_spans_that_add_up_to_what_was_spent(spans: Spans) -> None:
    backend = ScriptedBackend(play)
    answer = await agent(backend).run(TASK, trace=spans.sink(cards=[backend.card]))
    run = spans.one("invoke_agent agent")
    chats, tools = (
        spans.all("chat scripted"),
        [spans.one("execute_tool find_order"), spans.one("execute_tool find_customer")],
    )
    assert len(chats) == 2
    assert all(is_child(span, run) for span in (*chats, *tools))
    assert {span.kind for span in chats} == {SpanKind.CLIENT}
    assert run.kind == SpanKind.INTERNAL
    costs = [attributes(span)["agentkit.cost.nano_usd"] for span in (*chats, *tools)]
    assert sum(costs) == answer.spent["usd"] == attributes(run)["agentkit.cost.nano_usd"]
    assert attributes(tools[0])["agentkit.cost.usd"] == 0.0001
    assert attributes(run) | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "agent",
        "agentkit.status": "complete",
        "gen_ai.usage.output_tokens": answer.spent["output_tokens"],
    } == attributes(run)
    assert attributes(chats[0]) | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "scripted",
        "agentkit.from_cache": False,
        "agentkit.cost.estimated": False,
    } == attributes(chats[0])
    assert attributes(tools[0]) | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find_order",
        "gen_ai.tool.type": "function",
    } == attributes(tools[0])
    assert {event.name for event in run.events} >= {"agentkit.route", "agentkit.compose", "agentkit.plan"}


async def test_times_are_those_of_the_trace(spans: Spans) -> None:
    answer = await agent().run(TASK, trace=spans.sink())
    run = spans.one("invoke_agent agent")
    assert run.start_time == int(answer.trace[0].time * 1e9)
    assert run.end_time == int(answer.trace[-1].time * 1e9)
    for span in spans.exporter.get_finished_spans():
        assert span.start_time is not None and span.end_time is not None
        assert run.start_time <= span.start_time <= span.end_time <= run.end_time


async def test_content_is_recorded_only_when_asked_for(spans: Spans) -> None:
    await agent().run(TASK, trace=spans.sink())
    silent = "".join(span.to_json() for span in spans.exporter.get_finished_spans())
    assert ANSWER not in silent and TASK not in silent and "shipped" not in silent
    spans.exporter.clear()
    await agent().run(TASK, trace=spans.sink(content=True))
    run, order = attributes(spans.one("invoke_agent agent")), attributes(spans.one("execute_tool find_order"))
    assert json.loads(run["gen_ai.input.messages"])[0] == {
        "role": "user",
        "parts": [{"type": "text", "content": TASK}],
    }
    assert json.loads(run["gen_ai.output.messages"])[0]["parts"][0]["content"] == ANSWER
    assert json.loads(order["gen_ai.tool.call.arguments"]) == {"number": 7}
    assert order["gen_ai.tool.call.result"] == "order 7 shipped"


async def test_every_name_is_one_of_the_conventions(spans: Spans) -> None:
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    operations = {value.value for value in gen_ai_attributes.GenAiOperationNameValues}
    providers = {value.value for value in gen_ai_attributes.GenAiProviderNameValues}
    backend = ScriptedBackend(play)
    await agent(backend).run(TASK, trace=spans.sink(cards=[backend.card], content=True))
    made = [attributes(span) for span in spans.exporter.get_finished_spans()]
    names = {name for each in made for name in each if not name.startswith("agentkit.")}
    assert names <= known and len(names) > 10
    assert {each["gen_ai.operation.name"] for each in made} <= operations
    assert set(otel._PROVIDERS.values()) <= providers


@tool
async def break_down() -> str:
    "Fail."
    raise ValueError("broken")


async def test_a_failed_tool_and_a_failed_call_are_errors(spans: Spans) -> None:
    script = ScriptedBackend([calls(("break_down", {})), Faulty("a b c", fail_after=1)], bill="full")
    once = Resilience(retry=RetryPolicy.never())
    with pytest.raises(BackendUnavailable):
        await agent(script, tools=(break_down,), resilience=once).run(TASK, trace=spans.sink())
    failed = spans.one("execute_tool break_down")
    assert failed.status.status_code == StatusCode.ERROR
    assert attributes(failed)["error.type"] == "tool_error"
    good, bad = spans.all("chat scripted")[:2]
    assert (good.status.status_code, bad.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert attributes(bad)["agentkit.cost.estimated"] is True
    run = spans.one("invoke_agent agent")
    assert (run.status.status_code, attributes(run)["error.type"]) == (StatusCode.ERROR, "BackendUnavailable")


async def test_a_call_that_is_made_again_was_an_error(spans: Spans) -> None:
    script = ScriptedBackend([Faulty("a b c", fail_after=1), "Done."], bill="full")
    again = Resilience(retry=RetryPolicy(first_pause=0))
    await agent(script, tools=(), resilience=again).run(TASK, trace=spans.sink())
    failed, good = spans.all("chat scripted")
    assert (failed.status.status_code, good.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert spans.one("invoke_agent agent").status.status_code == StatusCode.UNSET


async def test_what_is_said_between_a_reply_and_its_check_does_not_make_it_an_error(spans: Spans) -> None:
    events: list[Event] = [
        RunStarted("agent", "task", {}, None, "a test"),
        Reserved("h", "model:m", Cost(usd=9), dispatched=True),
        Settled("h", "model:m", Cost(usd=5), Usage(1, output_tokens=1)),
        Retried("step", "the gate of another model opened"),
        Verified("step", "m", ("too short",)),
    ]
    sink = spans.sink()
    for place, event in enumerate(events):
        sink.write(Stamped("run", place, float(place), "run", event))
    sink.close()
    chat = spans.one("chat m")
    assert (chat.status.status_code, chat.start_time, chat.end_time) == (StatusCode.UNSET, 10**9, 2 * 10**9)
    assert attributes(chat)["agentkit.problems"] == ("too short",)


async def test_spans_lie_below_the_one_that_is_current(spans: Spans) -> None:
    with spans.provider.get_tracer("app").start_as_current_span("request"):
        await agent().run(TASK, trace=spans.sink())
    assert is_child(spans.one("invoke_agent agent"), spans.one("request"))


async def test_one_sink_serves_runs_one_after_another(spans: Spans) -> None:
    sink = spans.sink()
    for _ in range(2):
        await agent().run(TASK, trace=sink)
    first, second = spans.all("invoke_agent agent")
    assert sum(is_child(span, first) for span in spans.all("chat scripted")) == 2
    assert sum(is_child(span, second) for span in spans.all("chat scripted")) == 2


async def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(MissingExtra, match="'otel' extra"):
        OtelSink()


# ---------------------------------------------------------------- a collector
COLLECTOR = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        received = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for resource in received.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    nano = [a.value.int_value for a in span.attributes if a.key == "agentkit.cost.nano_usd"]
                    print(json.dumps([self.path, span.name, nano]), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
"""


async def test_a_collector_process_receives_the_spans_with_their_cost(spans: Spans) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    answer = await agent().run(TASK, trace=spans.sink())
    collector = started(COLLECTOR)
    assert collector.stdout is not None
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{int(collector.stdout.readline())}/v1/traces")
    exporter.export(spans.exporter.get_finished_spans())
    exporter.shutdown()  # type: ignore[no-untyped-call]  # theirs
    collector.terminate()
    received = [json.loads(line) for line in collector.communicate()[0].splitlines()]
    assert {path for path, _, _ in received} == {"/v1/traces"}
    sent = sorted(span.name for span in spans.exporter.get_finished_spans())
    assert sorted(name for _, name, _ in received) == sent
    assert len(sent) == 5
    assert [nano for _, name, nano in received if name == "invoke_agent agent"] == [[answer.spent["usd"]]]


def started(program: str) -> subprocess.Popen[str]:
    """Start a Python program as a process of its own."""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
