"""What one run works with, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agentkit.backends.base import Backend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.budgets import Hold, Scope, Tracker
from agentkit.budgets.length import OutputLengths
from agentkit.executor.resilience import Resilience
from agentkit.messages import Message, ToolCall, ToolResult
from agentkit.routers import Router
from agentkit.tools import Registry
from agentkit.trace import Event, Trace
from agentkit.types import Effort, ModelCard, ScopeView

if TYPE_CHECKING:
    from agentkit.toolmaking.making import Dispatch
    from agentkit.tools.enforcer import Enforcer


@dataclass(frozen=True, slots=True)
class Sampling:
    """How models are asked: temperature, seed, largest output cap and effort, each None for the model's own."""

    temperature: float | None = None
    seed: int | None = None
    max_output_tokens: int | None = None
    reasoning_effort: Effort | None = None


@dataclass(slots=True)
class Progress:
    """The best a run has so far: its conversation, its last text, and the facts its tools gave, oldest first.

    `dispatch` is what was decided about a made tool.
    """

    messages: tuple[Message, ...] = ()
    facts: list[str] = field(default_factory=list)
    text: str = ""
    dispatch: Dispatch | None = None

    def learn(self, call: ToolCall, result: ToolResult) -> None:
        """Keep what a tool answered as a fact."""
        if not result.is_error:
            self.facts.append(f"{call.name}({call.arguments}): {result.content}")


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a step needs. `check` returns what is wrong with a final text, nothing when it is fine.

    `deadline` is absolute on anyio's clock. `under_way` has a ticket for each model call that holds something now,
    in this run and in the runs around and inside it. `lengths` is what earlier replies of the agent teach about
    the next one, `gate` how many typical calls a new one leaves room for when others are under way
    (`admission.py`). `spare` is a hold that the next call may take over when it lacks room. `guards` has by model
    what outlives the run: what it can take, and how it fared. `own_instructions` are the agent's, without those
    of its output type. `hear` takes the text of replies as it arrives. `enforcer` says which tool calls may run.
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
    lengths: OutputLengths = field(default_factory=OutputLengths)
    gate: float = 0.0
    spare: Hold | None = None
    resilience: Resilience = field(default_factory=Resilience)
    guards: Mapping[str, Guarded | Pool] = field(default_factory=dict)
    enforcer: Enforcer | None = None
    own_instructions: str = ""
    hear: Callable[[str], None] | None = None

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The models that the router may choose from."""
        return tuple(backend.card for backend in self.backends.values())

    @property
    def spare_hold(self) -> Hold | None:
        """The spare hold while nobody has taken it."""
        return self.spare if self.spare is not None and self.spare.state == "reserved" else None

    def guard(self, backend: Backend) -> Guarded | Pool:
        """Return the endpoints of a model, each with the gate that its calls pass."""
        return self.guards.get(backend.card.name) or Guarded(backend)

    def view(self) -> ScopeView:
        """Return the run's budget with what the spare hold adds to the room of the next call."""
        view, spare = self.scope.view(), self.spare_hold
        if spare is None:
            return view
        return view._replace(available={name: room + spare.held[name] for name, room in view.available.items()})

    def inner(self) -> Job:
        """Return the job of work whose text another step reads: it need not satisfy the output type.

        Such work is done by whom it was given to, so nothing in it hands the conversation over.
        """
        tools = Registry(tool for tool in self.tools if not tool.hands_over)
        return replace(self, instructions=self.own_instructions, output_schema=None, check=_accept, tools=tools)

    def emit(self, event: Event) -> None:
        """Record `event` in this run's scope."""
        self.trace.emit(self.scope.name, event)


def _accept(text: str) -> Sequence[str]:
    return ()
