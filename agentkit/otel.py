"""The trace as OpenTelemetry spans, named by the GenAI semantic conventions, with what each call cost.

    invoke_agent NAME            a run; its answer, what it spent in all, and what was decided, as span events
    ├─ chat MODEL                a model call, from its dispatch to its settlement: tokens, cached ones, dollars
    └─ execute_tool NAME         a tool call and its price

The conventions have no name for money; it is `agentkit.cost.usd`, and exact in `agentkit.cost.nano_usd`. Prompts,
answers and arguments are recorded only with `content`. Secrets are taken out before the trace hands events on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from agentkit.costs import NANO, Cost
from agentkit.errors import MissingExtra
from agentkit.trace import (
    Answered,
    Charged,
    Dispatched,
    Event,
    Failed,
    Overrun,
    Reserved,
    Retried,
    RunStarted,
    Settled,
    Stamped,
    TextDelta,
    ToolFinished,
    ToolStarted,
    Verified,
    Voided,
)
from agentkit.types import ModelCard
from agentkit.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

_PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "openai": "openai",
    "openai-responses": "openai",
}
"""What the conventions call the provider of a backend."""

_HOLDS = Reserved | Dispatched | Settled | Charged | Voided | Overrun
_Attributes = dict[str, str | int | float | bool]


class OtelSink:
    """A sink for `Agent.run(…, trace=…)` that makes spans of a run's events.

    Spans go to `provider`, the process's own tracer provider if not given, below the span that is current when the
    run starts. `cards` tell by name which provider and model stand behind a call. One sink serves runs one after
    another; runs at the same time each take their own. Raises MissingExtra without the `otel` extra.
    """

    def __init__(
        self, provider: TracerProvider | None = None, *, cards: Iterable[ModelCard] = (), content: bool = False
    ) -> None:
        self._tracer, self._content = _tracer(provider), content
        self._cards = {card.name: card for card in cards}
        self._last = 0
        self._forget()

    def write(self, stamped: Stamped) -> None:
        """Take the next event."""
        event, now = stamped.event, int(stamped.time * 1e9)
        match event:
            case RunStarted():
                self._start_run(event, stamped, now)
            case TextDelta():
                pass  # the answer has the text
            case Reserved() | Dispatched() | Settled() | Charged() | Voided() | Overrun():
                self._follow_hold(event, now)
            case ToolStarted() | ToolFinished():
                self._follow_tool(event, now)
            case Answered():
                self._end_run(event, now)
            case _:
                self._note(event, now)
        self._last = now

    def close(self) -> None:
        """End what is still open, at the time of the last event: the run ended without an answer."""
        for model in list(self._settled):
            self._end_call(model)
        for span in (*self._calls.values(), *self._tools.values()):
            _mark_failed(span, "aborted", "")
            span.end(self._last)
        if self._run is not None:
            self._run.end(self._last)
        self._forget()

    # ------------------------------------------------------------ runs
    def _forget(self) -> None:
        self._run: Span | None = None
        self._holds: dict[str, Reserved] = {}
        self._calls: dict[str, Span] = {}
        self._settled: dict[str, tuple[Span, int]] = {}  # by model, until its reply was checked
        self._silent: set[str] = (
            set()
        )  # of these, the models that gave no usage record: most likely nothing at all
        self._tools: dict[str, Span] = {}
        self._unpaid: list[tuple[str, Span]] = []  # tools that were started, by name, until they are charged

    def _start_run(self, event: RunStarted, stamped: Stamped, now: int) -> None:
        self._run = self._span(f"invoke_agent {event.agent}", now, "invoke_agent")
        self._run.set_attributes({"gen_ai.agent.name": event.agent, "agentkit.run": stamped.run})
        self._run.set_attributes({f"agentkit.limit.{name}": amount for name, amount in event.limits.items()})
        if self._content:
            self._run.set_attribute("gen_ai.input.messages", _message("user", event.task))

    def _end_run(self, event: Answered, now: int) -> None:
        for model in list(self._settled):
            self._end_call(model)
        if self._run is None:
            return
        self._run.set_attributes({"agentkit.status": event.status, "agentkit.stop_reason": event.stop_reason})
        self._run.set_attributes(_cost(event.spent) | _tokens(event.spent))
        if self._content:
            self._run.set_attribute("gen_ai.output.messages", _message("assistant", event.text))
        self._run.end(now)
        self._run = None

    def _note(self, event: Event, now: int) -> None:
        if isinstance(event, Verified):
            self._end_call(event.model, problems=event.problems)
        elif isinstance(event, Retried):
            for model in list(self._silent):
                self._end_call(model, error=event.reason)
        elif isinstance(event, Failed) and event.where.startswith("model:"):
            self._end_call(event.where.removeprefix("model:"), error=event.error)
        if self._run is not None and isinstance(event, Failed) and event.where == "run":
            _mark_failed(self._run, event.error.partition(":")[0], event.error)
        if self._run is not None:
            self._run.add_event(f"agentkit.{event.kind}", _plain(event), now)

    # ------------------------------------------------------------ model calls
    def _follow_hold(self, event: _HOLDS, now: int) -> None:
        match event:
            case Reserved():
                self._holds[event.hold] = event
                if event.dispatched:
                    self._start_call(event, now)
            case Dispatched() if event.hold in self._holds:
                self._start_call(self._holds[event.hold], now)
            case Settled() | Charged():
                self._holds.pop(event.hold, None)
                self._settle(event, now)
            case Voided():
                self._holds.pop(event.hold, None)
            case _:
                self._note(event, now)

    def _start_call(self, hold: Reserved, now: int) -> None:
        kind, _, model = hold.what.partition(":")
        if kind == "tool":
            return  # its span began when it was called
        span = self._span(f"chat {model}", now, "chat", client=True)
        card = self._cards.get(model)
        attributes: _Attributes = {
            "gen_ai.request.model": card.model if card else model,
            "agentkit.model": model,
            "agentkit.purpose": kind,
            "agentkit.held.nano_usd": hold.cost["usd"],
            "gen_ai.request.max_tokens": hold.cost["output_tokens"],
        }
        if card is not None:
            attributes["gen_ai.provider.name"] = _PROVIDERS.get(card.backend, card.backend)
        span.set_attributes(attributes)
        self._calls[hold.hold] = span

    def _settle(self, event: Settled | Charged, now: int) -> None:
        kind, _, name = event.what.partition(":")
        if kind == "tool":
            paid = next((entry for entry in self._unpaid if entry[0] == name), None)
            if paid is not None:
                self._unpaid.remove(paid)
                paid[1].set_attributes(_cost(event.charged))
            return
        if (span := self._calls.pop(event.hold, None)) is None:
            return
        span.set_attributes(_cost(event.charged) | _tokens(event.charged))
        span.set_attribute("agentkit.cost.estimated", isinstance(event, Charged))
        self._end_call(name)  # one of the same name, whose reply nobody checked
        self._settled[name] = span, now
        if isinstance(event, Settled) and event.usage is not None:
            span.set_attributes(_usage(event.usage))
        else:
            self._silent.add(name)

    def _end_call(self, model: str, *, error: str = "", problems: tuple[str, ...] = ()) -> None:
        if model not in self._settled:
            return
        span, ended = self._settled.pop(model)
        self._silent.discard(model)
        if problems:
            span.set_attribute("agentkit.problems", problems)
        if error:
            _mark_failed(span, "model_error", error)
        span.end(ended)

    # ------------------------------------------------------------ tools
    def _follow_tool(self, event: ToolStarted | ToolFinished, now: int) -> None:
        if isinstance(event, ToolStarted):
            span = self._span(f"execute_tool {event.name}", now, "execute_tool")
            names = {"name": event.name, "call.id": event.call, "type": "function"}
            span.set_attributes({f"gen_ai.tool.{key}": value for key, value in names.items()})
            if self._content:
                span.set_attribute("gen_ai.tool.call.arguments", event.arguments)
            self._tools[event.call] = span
            self._unpaid.append((event.name, span))
        elif (found := self._tools.pop(event.call, None)) is not None:
            self._unpaid = [entry for entry in self._unpaid if entry[1] is not found]
            if self._content:
                found.set_attribute("gen_ai.tool.call.result", event.content)
            if event.is_error:
                _mark_failed(found, "tool_error", event.content if self._content else "")
            found.end(now)

    def _span(self, name: str, now: int, operation: str, *, client: bool = False) -> Span:
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = set_span_in_context(self._run) if self._run is not None else None
        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        attributes = {"gen_ai.operation.name": operation}
        return self._tracer.start_span(name, parent, kind, attributes, start_time=now)


def _tracer(provider: TracerProvider | None) -> Tracer:
    try:
        from opentelemetry.trace import get_tracer
    except ModuleNotFoundError as error:
        raise MissingExtra("otel", error.name or "opentelemetry") from error
    return get_tracer("agentkit", tracer_provider=provider)


def _mark_failed(span: Span, kind: str, text: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, text or None))


def _cost(cost: Mapping[str, int]) -> _Attributes:
    nano = cost.get("usd", 0)
    return {"agentkit.cost.nano_usd": nano, "agentkit.cost.usd": nano / NANO}


def _tokens(cost: Cost) -> _Attributes:
    return {
        "gen_ai.usage.input_tokens": cost["input_tokens"],
        "gen_ai.usage.output_tokens": cost["output_tokens"],
    }


def _usage(usage: Usage) -> _Attributes:
    """What the cost does not tell; a reply from our own cache cost nothing and has its tokens all the same."""
    return {
        "gen_ai.usage.input_tokens": usage.total_input,
        "gen_ai.usage.output_tokens": usage.total_output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "agentkit.from_cache": usage.from_cache,
    }


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def _plain(event: Event) -> dict[str, Any]:
    """The fields of an event as attributes can have them; the rest, such as maps, as JSON."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    simple = str | int | float | bool
    return {
        name: value if isinstance(value, simple) else json.dumps(value, default=dict, ensure_ascii=False)
        for name, value in values.items()
    }
