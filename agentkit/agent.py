"""The SDK's surface: an agent, and the three ways to run it."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import anyio
import anyio.lowlevel
from typing_extensions import TypeVar

from agentkit.answer import Answer
from agentkit.backends.base import Backend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.budgets import Scope
from agentkit.budgets.length import OutputLengths
from agentkit.composer import Composer, KnapsackComposer
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendError, BudgetError, ConfigError
from agentkit.executor import Sampling
from agentkit.executor.resilience import Resilience
from agentkit.feed import Feed
from agentkit.messages import Message
from agentkit.models import resolve
from agentkit.output import OutputType
from agentkit.planner import Plan, Planner, SingleStepPlanner
from agentkit.quote import History, Quote, Recorder, quote
from agentkit.routers import FallbackRouter, Router, RuleRouter
from agentkit.routers.fallback import TRIGGERS, Trigger
from agentkit.run import is_inside_run, run
from agentkit.settings import Settings, budget_text, parse_budget
from agentkit.tools import Context, Tool, tool
from agentkit.tools.source import ToolSource, tool_name
from agentkit.trace import Event, JsonlSink, Sink, sink_of
from agentkit.types import Effort
from agentkit.work import Work, least_cost

if TYPE_CHECKING:
    from agentkit.toolmaking import ToolMaking
    from agentkit.tools.index import ToolSearch
    from agentkit.tools.policy import Policy

T = TypeVar("T", default=str)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

MAX_STEPS = 16
"""Model turns of a step when the agent does not say."""
OUTPUT_QUANTILE = 0.995
"""A token of cap that is not used costs less than a prompt that is sent again, see docs/decisions.md."""
FINISH_LINE_GATE = 1.0
"""Typical calls."""
MAX_HANDOFFS = 4
"""How often one run is handed over when the agent does not say."""


class Agent(Generic[T]):
    """Models, tools and instructions that carry out tasks under a budget.

    `model` is a name such as `openai:gpt-5-mini`, a backend, or several of either, among which the router
    chooses. `max_output_tokens` caps each turn, thinking included, `max_steps` the turns of a step;
    `reasoning_effort` is asked of models that can think. `planner` says what steps a task takes, by default one;
    `BudgetAware()` has each answer verified before it stands, `LLMPlanner()` has a model plan calls that run side
    by side.

    Where model calls of a run share too little for the whole cap of each, a new one is sent with the cap that a
    share `output_quantile` of earlier replies kept within, and what it cuts goes on in a further call; at 1, and
    where a broken call is billed no more than it made, it waits for the room of the whole cap instead.
    `finish_line_gate` is how many typical calls such a new one leaves room for, so that the last ones can go on.

    Among `tools` may be sources of tools, such as an MCP server, which each run opens for itself;
    `policy` says what tools may do, above all once a run has read text that anybody could have written.
    `tool_search` offers the models only the tools it finds for the task, out of many; `tool_making` has a stronger
    model make tools for tasks that come again, which this agent then uses.

    `handoffs` are agents that this one may hand the whole conversation over to, `max_handoffs` times in a run.
    Whoever has it last answers; all draw from the budget of the run.

    `resilience` says how failed, late and oversized calls are dealt with; by default failed ones are retried.
    `fallbacks` are models by the kind of failure that sends a call there, such as `context` or `any`; see
    `FallbackRouter`.
    """

    def __init__(
        self,
        model: str | Backend | Sequence[str | Backend],
        *,
        output_type: type[T] = str,  # type: ignore[assignment]  # T is str by default
        tools: Sequence[Tool | ToolSource] = (),
        instructions: str = "",
        name: str = "agent",
        description: str = "",
        router: Router | None = None,
        planner: Planner | None = None,
        composer: Composer | None = None,
        budget: Budget | str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        reasoning_effort: Effort | None = None,
        max_steps: int = MAX_STEPS,
        output_quantile: float = OUTPUT_QUANTILE,
        finish_line_gate: float = FINISH_LINE_GATE,
        tool_search: ToolSearch | None = None,
        resilience: Resilience | None = None,
        fallbacks: Mapping[Trigger, Sequence[str | Backend]] | None = None,
        policy: Policy | None = None,
        tool_making: ToolMaking | None = None,
        handoffs: Sequence[Agent[Any]] = (),
        max_handoffs: int = MAX_HANDOFFS,
    ) -> None:
        models = [model] if isinstance(model, str) or not isinstance(model, Sequence) else model
        self.backends = _named([resolve(entry) if isinstance(entry, str) else entry for entry in models], name)
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"agent name {name!r}: take letters, digits, '_', '.', '-', 64 at most, a letter first"
            )
        _check_parts(
            name, ("router", router, "next"), ("planner", planner, "plan"), ("composer", composer, "compose")
        )
        self.name, self.description, self.instructions = name, description, instructions
        self.tools, self.sources = _sorted(tools, name)
        self.router = self._with_fallbacks(router, fallbacks or {})
        self.resilience = resilience or Resilience()
        self.policy = policy
        self.planner = planner or SingleStepPlanner()
        self.composer = composer or KnapsackComposer()
        self.tool_search, self.tool_making = tool_search, tool_making
        self.handoffs, self.max_handoffs = list(handoffs), _hand_overs(max_handoffs, name)
        self.budget = None if budget is None else _read(budget)
        self.max_steps = max_steps
        self._output = OutputType(output_type)
        self._sampling = Sampling(temperature, seed, max_output_tokens, reasoning_effort)
        self._settings: Settings | None = None
        self._history = History()
        self._guards = {
            backend_name: backend if isinstance(backend, Guarded | Pool) else Guarded(backend)
            for backend_name, backend in self.backends.items()
        }
        self._lengths, self._gate = _admission(output_quantile, finish_line_gate, name)

    async def run(
        self,
        task: str,
        *,
        budget: Budget | str | None = None,
        history: Sequence[Message] = (),
        context: object = None,
        scope: Scope | None = None,
        trace: Sink | str | Path | None = None,
    ) -> Answer[T]:
        """Carry out `task` and return the answer.

        `budget` is the run's own limit, a Budget or text such as `usd=0.05,seconds=30`; without one the agent's,
        else the project's default holds. `history` are the messages of an earlier answer, `context` is handed to
        tools that ask for it, and `scope` is a budget this run also draws from. `trace` takes the events besides
        the project's trace folder: a sink, or the path of a JSONL file they are appended to.

        Raises BackendError when every model fails and UnboundedCost when dollars are limited and no model has a
        price; other budget refusals only with `on_limit="raise"`. `error.receipts` says what was charged by then.
        """
        return await run(self._work(task, budget, history, context, scope, trace))

    def run_sync(self, task: str, **options: Any) -> Answer[T]:
        """Run outside of async code; options as for `run`. Raises ConfigError inside a running event loop."""
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:  # there is no event loop
            return anyio.run(lambda: self.run(task, **options))
        raise ConfigError("run_sync cannot be called inside a running event loop; await agent.run(…) instead")

    @asynccontextmanager
    async def stream(
        self,
        task: str,
        *,
        budget: Budget | str | None = None,
        history: Sequence[Message] = (),
        context: object = None,
        scope: Scope | None = None,
        trace: Sink | str | Path | None = None,
    ) -> AsyncGenerator[AsyncIterator[Event | Answer[T]], None]:
        """Run and yield the events of the trace as they happen; the last item is the Answer.

        Leaving the block early cancels the run; what was dispatched by then is charged. What goes wrong in the run
        is raised where the events are read.
        """
        feed: Feed[Event | Answer[T]] = Feed()
        work = self._work(task, budget, history, context, scope, trace, listener=feed.put)

        async def go() -> None:
            failure: Exception | None = None
            try:
                feed.put(await run(work))
            except Exception as error:
                failure = error
            finally:
                feed.close(failure)

        left_by: Exception | None = None
        async with anyio.create_task_group() as group, aclosing(feed.read()) as reading:
            group.start_soon(go)
            try:
                yield reading
            except Exception as error:
                left_by = error
            group.cancel_scope.cancel()
        if left_by is not None:  # raised out here, so that it is not wrapped in the task group's own
            raise left_by

    def as_tool(self, name: str | None = None, description: str | None = None) -> Tool:
        """Return a tool that hands a task to this agent; it draws from the budget of the run that calls it."""
        description = description or self.description or f"Hand a task to the agent {self.name}."

        @tool(name=name or self.name, description=description, timeout=None)
        async def hand_over(task: str, context: Context[Any]) -> str:
            return (await self.run(task, context=context.value, scope=context.scope)).text

        return replace(hand_over, spends=True, expects=cache(self._least))

    def _least(self) -> Cost | None:
        """Return what a task costs this agent at least, None where that is not known."""
        if not any(backend.card.price for backend in self.backends.values()):
            return None
        try:
            return self.minimum(self.description or self.name)
        except (BudgetError, BackendError):  # a run would say so; whoever only has it as a tool goes on
            return None

    def _hand_over(self) -> Tool:
        """Return the tool after whose call this agent goes on with the conversation."""
        about = f": {self.description}" if self.description else ""

        @tool(name=tool_name(self.name, "hand_over_to_"), description=f"Let {self.name} take over{about}")
        async def hand_over(reason: str) -> str:
            return f"{self.name} takes over: {reason}"

        return replace(hand_over, hands_over=True)

    def minimum(self, task: str) -> Cost:
        """Return the least budget with which a run of `task` gives an answer: one clamped final answer."""
        return least_cost(self._work(task, Budget.unlimited(), (), None, None, None))

    def quote(self, task: str, *, budget: Budget | str | None = None, plan: Plan | str | None = None) -> Quote:
        """Return what a run of `task` will spend, from what earlier runs of this agent did; nothing is spent.

        Earlier runs are those of this object or, when the project has a trace folder, all that left a trace there
        under the agent's name. A plan that is known beforehand, a `FixedPlanner`'s or `plan` (the text of one will
        do), is run on stand-ins of the tools: `Quote.plan` says what cannot work and what each step may cost.
        Raises UnboundedCost when no model's cost can be bounded.
        """
        work = self._work(task, budget, (), None, None, None)
        if (path := self._trace_file()) is not None:
            self._history.read(path)
        return quote(work, self._history, plan)

    async def aclose(self) -> None:
        """Close the backends."""
        for backend in self.backends.values():
            await backend.aclose()

    def _work(
        self,
        task: str,
        budget: Budget | str | None,
        history: Sequence[Message],
        context: object,
        scope: Scope | None,
        trace: Sink | str | Path | None,
        listener: Callable[[Event], None] | None = None,
    ) -> Work[T]:
        if not isinstance(task, str):
            raise ConfigError(f"a task is text, not {type(task).__name__}; history= takes messages")
        nested = scope is not None and is_inside_run(scope)
        settings = self._project()
        limits, origin = _budget(budget, self.budget, settings, nested)
        sinks = [] if trace is None else [sink_of(trace)]
        path = self._trace_file()
        sinks.append(Recorder(self._history, task) if path is None else JsonlSink(path))
        handing = {agent._hand_over(): agent for agent in self.handoffs}
        return Work(
            agent=self.name,
            task=task,
            backends=self.backends,
            router=self.router,
            planner=self.planner,
            composer=self.composer,
            tools=(*self.tools, *handing),
            instructions=self.instructions,
            history=tuple(history),
            output=self._output,
            sampling=self._sampling,
            max_steps=self.max_steps,
            budget=limits,
            budget_origin=origin,
            context=context,
            parent=scope,
            nested=nested,
            ledger_url=settings.ledger,
            sinks=tuple(sinks),
            listener=listener,
            tool_search=self.tool_search,
            lengths=self._lengths,
            gate=self._gate,
            resilience=self.resilience,
            guards=self._guards,
            sources=self.sources,
            policy=self.policy,
            tool_making=self.tool_making,
            handoffs={
                entry.name: partial(agent._work, task, limits, (), context, scope, None)
                for entry, agent in handing.items()
            },
            max_handoffs=self.max_handoffs,
        )

    def _with_fallbacks(
        self, router: Router | None, fallbacks: Mapping[Trigger, Sequence[str | Backend]]
    ) -> Router:
        """Add the models that only fallbacks name, and return the router that knows when to call them."""
        usual = frozenset(self.backends)
        names: dict[Trigger, list[str]] = {}
        for trigger, models in fallbacks.items():
            if trigger not in TRIGGERS:
                raise ConfigError(f"agent {self.name!r}: a fallback is for {', '.join(TRIGGERS)}, not {trigger!r}")
            for model in models:
                if not isinstance(model, str) or model not in self.backends:
                    backend = resolve(model) if isinstance(model, str) else model
                    self.backends.setdefault(backend.card.name, backend)
                    model = backend.card.name
                names.setdefault(trigger, []).append(model)
        if router is not None and not names:
            return router
        return FallbackRouter(router or RuleRouter(), names, reserves=frozenset(self.backends) - usual)

    def _project(self) -> Settings:
        self._settings = self._settings or Settings.load()
        return self._settings

    def _trace_file(self) -> Path | None:
        folder = self._project().trace_dir
        return folder and folder / f"{self.name}.jsonl"


def _budget(
    given: Budget | str | None, own: Budget | None, settings: Settings, nested: bool
) -> tuple[Budget, str]:
    """Return the budget that holds and where it comes from; inside a run the run's own budget is the limit."""
    if given is not None:
        return _read(given), "the budget argument"
    if own is not None:
        return own, "the agent's budget"
    if nested:
        return Budget.unlimited(), "the budget of the run around it"
    budget, origin = settings.default_budget, settings.origins["default_budget"]
    return budget, f"the project's default budget ({budget_text(budget)}, from {origin})"


def _sorted(given: Sequence[Tool | ToolSource], name: str) -> tuple[tuple[Tool, ...], tuple[ToolSource, ...]]:
    """Return the tools and the sources of tools among what was given."""
    if plain := next((entry for entry in given if not isinstance(entry, Tool | ToolSource)), None):
        raise ConfigError(f"agent {name!r}: {plain!r} is not a tool; decorate the function with @tool")
    tools = tuple(entry for entry in given if isinstance(entry, Tool))
    return tools, tuple(entry for entry in given if isinstance(entry, ToolSource))


def _named(backends: Sequence[Backend], name: str) -> dict[str, Backend]:
    """Return the models by name; ConfigError for none, for what is no model, and for two of one name."""
    if odd := [entry for entry in backends if not hasattr(entry, "card")]:
        raise ConfigError(f"agent {name!r}: {odd[0]!r} is no model; take 'openai:MODEL' or the like, or a backend")
    names = [backend.card.name for backend in backends]
    if double := next((one for one in names if names.count(one) > 1), None):
        raise ConfigError(f"agent {name!r}: two models are called {double!r}; give each card its own name")
    if not names:
        raise ConfigError(f"agent {name!r} needs one or more models")
    return dict(zip(names, backends, strict=True))


def _check_parts(name: str, *parts: tuple[str, object, str]) -> None:
    for part, given, method in parts:
        if given is not None and not callable(getattr(given, method, None)):
            raise ConfigError(f"agent {name!r}: {given!r} is no {part}; it needs a method {method}")


def _hand_overs(most: int, name: str) -> int:
    if most < 1:
        raise ConfigError(f"agent {name!r}: max_handoffs is 1 or more, not {most}; leave handoffs out")
    return most


def _admission(quantile: float, gate: float, name: str) -> tuple[OutputLengths, float]:
    if not (math.isfinite(gate) and gate >= 0):
        raise ConfigError(f"agent {name!r}: finish_line_gate is a number of calls such as 1.0, not {gate!r}")
    try:
        return OutputLengths(quantile), gate
    except ValueError as error:
        raise ConfigError(f"agent {name!r}: output_quantile: {error}") from error


def _read(budget: Budget | str) -> Budget:
    if isinstance(budget, str):
        return parse_budget(budget)
    if not isinstance(budget, Budget):
        raise ConfigError(f"a budget is a Budget or text such as 'usd=0.05', not {budget!r}")
    return budget
