"""One request as an agent states it, and as the executor sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from agentkit.backends.base import Backend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.budgets import Ledger, Scope, Tracker
from agentkit.budgets.length import OutputLengths
from agentkit.composer import Composer
from agentkit.costs import Budget, Cost
from agentkit.executor import Job, Progress, Sampling, minimum
from agentkit.executor.resilience import Resilience
from agentkit.messages import SUMMARY, Message
from agentkit.output import OutputType
from agentkit.planner import Planner
from agentkit.routers import Router
from agentkit.tools import Registry, Tool
from agentkit.tools.context import enforcer_around
from agentkit.tools.source import ToolSource
from agentkit.trace import Event, Sink, Trace

if TYPE_CHECKING:
    from agentkit.toolmaking import ToolMaking
    from agentkit.tools.enforcer import Enforcer
    from agentkit.tools.index import ToolSearch
    from agentkit.tools.policy import Policy

T = TypeVar("T", default=str)


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """One request: what is asked, with what, and under which budget."""

    agent: str
    task: str
    backends: Mapping[str, Backend]
    router: Router
    planner: Planner
    composer: Composer
    tools: tuple[Tool, ...]
    instructions: str
    history: tuple[Message, ...]
    output: OutputType[T]
    sampling: Sampling
    max_steps: int
    budget: Budget
    budget_origin: str
    tool_search: ToolSearch | None = None
    context: object = None
    parent: Scope | None = None
    nested: bool = False
    ledger_url: str = "memory:"
    sinks: tuple[Sink, ...] = ()
    listener: Callable[[Event], None] | None = None
    lengths: OutputLengths = field(default_factory=OutputLengths)
    gate: float = 0.0
    resilience: Resilience = field(default_factory=Resilience)
    guards: Mapping[str, Guarded | Pool] = field(default_factory=dict)
    sources: tuple[ToolSource, ...] = ()
    policy: Policy | None = None
    tool_making: ToolMaking | None = None
    handoffs: Mapping[str, Callable[[], Work[Any]]] = field(default_factory=dict)
    max_handoffs: int = 0


def job_of(
    work: Work[T], scope: Scope, trace: Trace, deadline: float | None, under_way: set[object] | None = None
) -> Job:
    """Return `work` as the executor sees it; `under_way` is shared with the runs around `scope` and inside it."""
    return Job(
        backends=work.backends,
        router=work.router,
        tools=Registry(work.tools),
        scope=scope,
        trace=trace,
        tracker=Tracker(),
        context=work.context,
        instructions="\n".join(filter(None, (work.instructions, work.output.instructions))),
        own_instructions=work.instructions,
        history=tuple(message for message in work.history if message.role != "system"),
        sampling=work.sampling,
        check=work.output.problems,
        output_schema=work.output.schema,
        max_steps=work.max_steps,
        deadline=deadline,
        seconds=work.budget.seconds,
        under_way=set() if under_way is None else under_way,
        progress=Progress(),
        lengths=work.lengths,
        gate=work.gate,
        resilience=work.resilience,
        guards=work.guards,
        enforcer=_enforcer(work),
    )


def least_cost(work: Work[T]) -> Cost:
    """Return the published minimum: the cost of one clamped final answer.

    Raises UnboundedCost when no model's cost can be bounded in what the budget limits.
    """
    with Ledger.open() as ledger:
        scope = ledger.scope("minimum", limits=work.budget.limits())
        return minimum(job_of(work, scope, Trace("minimum"), None), work.task)


def _enforcer(work: Work[T]) -> Enforcer | None:
    if work.policy is None and enforcer_around.get() is None and not work.handoffs:
        return None  # with hand-offs whoever takes over is held to what was read before it came
    from agentkit.tools.enforcer import enforcer_for

    said = [message.text for message in work.history if message.role == "user" and message.name != SUMMARY]
    told = [work.instructions, *said]
    tool_text_before = any(message.role == "tool" or message.name == SUMMARY for message in work.history)
    return enforcer_for(work.policy, work.task, told, work.tools, tool_text_before)
