"""What one run works with, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agentkit.backends.base import Backend
from agentkit.budgets import Scope, Tracker
from agentkit.messages import Message, ToolCall, ToolResult
from agentkit.routers import Router
from agentkit.tools import Registry
from agentkit.trace import Event, Trace
from agentkit.types import ModelCard


@dataclass(frozen=True, slots=True)
class Sampling:
    """How models are asked: temperature, seed and the largest output cap, each None for the model's own."""

    temperature: float | None = None
    seed: int | None = None
    max_output_tokens: int | None = None


@dataclass(slots=True)
class Progress:
    """The best a run has so far: its conversation, its last text, and the facts its tools gave, oldest first."""

    messages: tuple[Message, ...] = ()
    facts: list[str] = field(default_factory=list)
    text: str = ""

    def learn(self, call: ToolCall, result: ToolResult) -> None:
        """Keep what a tool answered as a fact."""
        if not result.is_error:
            self.facts.append(f"{call.name}({call.arguments}): {result.content}")


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a step needs. `check` returns what is wrong with a final text, nothing when it is fine.

    `deadline` is absolute on anyio's clock. `under_way` has a ticket for each model call that holds something now,
    in this run and in the runs around and inside it.
    """

    backends: Mapping[str, Backend]
    router: Router
    tools: Registry
    scope: Scope
    trace: Trace
    tracker: Tracker
    context: object
    instructions: str
    history: tuple[Message, ...]
    sampling: Sampling
    check: Callable[[str], Sequence[str]]
    output_schema: Mapping[str, object] | None
    max_steps: int
    deadline: float | None
    seconds: float | None
    under_way: set[object]
    progress: Progress

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The models that the router may choose from."""
        return tuple(backend.card for backend in self.backends.values())

    def emit(self, event: Event) -> None:
        """Record `event` in this run's scope."""
        self.trace.emit(self.scope.name, event)
