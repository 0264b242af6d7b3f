"""A run as OpenTelemetry spans with what each call cost.

Here the spans are printed; an application sets its own tracer provider, with an OTLP exporter for instance, and
`OtelSink()` uses that.
"""

import anyio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentkit import Agent, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.otel import OtelSink

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))


@tool(cost={"usd": "0.001"})
async def search(query: str) -> str:
    "Search the web."
    return "The Eiffel Tower is 330 metres high."


async def main() -> None:
    model = ScriptedBackend([calls(("search", {"query": "Eiffel Tower"})), "It is 330 metres high."])
    agent = Agent(model, tools=[search], name="guide")
    sink = OtelSink(provider, cards=[model.card])
    answer = await agent.run("How high is the Eiffel Tower?", budget="usd=0.05", trace=sink)
    for span in sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0):
        attributes = span.attributes or {}
        print(f"{span.name}: ${attributes['agentkit.cost.usd']:.6f}")
    print(f"answer: {answer.text} ${answer.spent.usd} spent")


if __name__ == "__main__":
    anyio.run(main)
