"""From a definition to objects: `load("agentkit.yaml")` returns the entry agent, ready to run."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.agent import FINISH_LINE_GATE, MAX_HANDOFFS, MAX_STEPS, OUTPUT_QUANTILE, Agent
from agentkit.backends.base import Backend
from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.guarded import Guarded
from agentkit.backends.limits import RateLimits
from agentkit.backends.pool import Pool
from agentkit.backends.retry import RetryPolicy
from agentkit.costs import Cost, nano_usd
from agentkit.definition import Definition, read_definition
from agentkit.errors import AgentkitError, ConfigError, PlanError, SpecError
from agentkit.executor.resilience import Hedge, Resilience
from agentkit.model_spec import ModelSpec
from agentkit.models import from_spec
from agentkit.planner import BudgetAware, FixedPlanner, LLMPlanner, OnFailure, Plan, Planner, Step, ToolUse
from agentkit.planner_spec import PlannerSpec, StepSpec
from agentkit.policy_spec import to_policy
from agentkit.resilience_spec import LimitsSpec
from agentkit.router_spec import FittedSpec, PanelSpec, RouterSpec
from agentkit.routers import Router, RuleRouter
from agentkit.routers.artefact import load as load_artefact
from agentkit.routers.fusion import FusionRouter
from agentkit.routers.multi_round import MultiRoundRouter
from agentkit.routers.self_verification import SelfVerifyingRouter
from agentkit.routers.votes import VoteRouter
from agentkit.spec import AgentSpec, AgentTool, InstructionsFile, PythonTool, ToolMakingSpec, ToolSearchSpec
from agentkit.tool_sources import make_source
from agentkit.tool_spec import SourceEntry
from agentkit.tools import Tool, calculate, tool
from agentkit.tools.index import ToolSearch
from agentkit.tools.policy import Policy
from agentkit.tools.source import ToolSource
from agentkit.yaml_reader import Keys

if TYPE_CHECKING:
    from agentkit.toolmaking import ToolMaking

_BUILT_IN = {"calculate": calculate}


def load(path: str | Path) -> Agent[str]:
    """Read the definition at `path` and build its entry agent.

    Python tools are imported, with the definition's folder on the path. Raises SpecError with file, line and
    column when the definition is wrong, or names something that cannot be made.
    """
    return build(read_definition(path))


def build(definition: Definition) -> Agent[str]:
    """Build the entry agent of a definition that was read."""
    return _Builder(definition).agent(definition.spec.entry)


class _Builder:
    """Makes each model and agent once, so that what is named twice is the same object."""

    def __init__(self, definition: Definition) -> None:
        self._definition, self._spec = definition, definition.spec
        self._models: dict[str, Backend] = {}
        self._agents: dict[str, Agent[str]] = {}

    def agent(self, name: str) -> Agent[str]:
        if name not in self._agents:
            self._agents[name] = made = self._make_agent(name, self._spec.agents[name])
            made.handoffs += map(self.agent, self._spec.agents[name].handoffs)  # which may lead back here
        return self._agents[name]

    def _make_agent(self, name: str, spec: AgentSpec) -> Agent[str]:
        router = self._spec.routers[spec.router] if spec.router else None
        names = [spec.model] if spec.model else list(spec.models or (router.order if router else ()))
        assert not isinstance(spec.instructions, InstructionsFile)  # read_definition has put the file's text here
        return Agent(
            [self._model(model) for model in names],
            name=name,
            description=spec.description,
            instructions=spec.instructions,
            tools=[self._tool(entry, ("agents", name, "tools", i)) for i, entry in enumerate(spec.tools)],
            router=_router(router),
            planner=self._planner(spec.planner, ("agents", name, "planner")),
            budget=self._spec.budgets[spec.budget].to_budget() if spec.budget else None,
            temperature=spec.temperature,
            seed=spec.seed,
            reasoning_effort=spec.reasoning_effort,
            max_steps=spec.max_steps or MAX_STEPS,
            tool_search=self._tool_search(spec.tool_search),
            tool_making=self._tool_making(spec.tool_making, ("agents", name, "tool_making")),
            output_quantile=OUTPUT_QUANTILE if spec.output_quantile is None else spec.output_quantile,
            finish_line_gate=FINISH_LINE_GATE if spec.finish_line_gate is None else spec.finish_line_gate,
            resilience=_resilience(spec),
            policy=self._policy(spec.policy),
            max_handoffs=spec.max_handoffs or MAX_HANDOFFS,
            fallbacks={trigger: [self._model(m) for m in models] for trigger, models in spec.fallbacks.items()},
        )

    def _tool_search(self, spec: ToolSearchSpec | None) -> ToolSearch | None:
        if spec is None:
            return None
        return ToolSearch(
            spec.top,
            spec.by,
            always=spec.always,
            dependencies=spec.dependencies,
            model=self._model(spec.model) if spec.model else None,
            cache=spec.cache,
        )

    def _tool_making(self, spec: ToolMakingSpec | None, keys: Keys) -> ToolMaking | None:
        if spec is None:
            return None
        from agentkit.toolmaking import ToolMaking
        from agentkit.tools.sandbox import Sandbox

        try:
            return ToolMaking(
                self.agent(spec.maker),
                spec.examples,
                spec.store,
                when=spec.when,
                share=spec.share,
                rounds=spec.rounds,
                until=spec.until,
                sandbox=Sandbox(spec.level),
            )
        except ConfigError as error:
            raise self._definition.error(f"tools cannot be made: {error}", *keys) from error

    def _planner(self, spec: PlannerSpec | None, keys: Keys) -> Planner | None:
        if spec is None or spec.fixed is None:
            return _planner(spec)
        try:
            steps = tuple(map(_step, spec.fixed.steps))
            return FixedPlanner(Plan(steps, "given in the definition", spec.fixed.concurrency))
        except PlanError as error:
            raise self._definition.error(str(error), *keys, "fixed") from error

    def _policy(self, name: str | None) -> Policy | None:
        try:
            return None if name is None else to_policy(self._spec.policies[name])
        except ConfigError as error:
            raise self._definition.error(f"policies.{name}.{error}", "policies", str(name)) from error

    def _model(self, name: str) -> Backend:
        if name not in self._models and (pool := self._spec.pools.get(name)):
            self._models[name] = Pool(name, [self._model(endpoint) for endpoint in pool.endpoints], mode=pool.mode)
        elif name not in self._models:
            try:
                spec = self._spec.models[name]
                self._models[name] = _guarded(from_spec(name, spec), spec)
            except SpecError:
                raise
            except AgentkitError as error:
                raise self._definition.error(f"models.{name}: {error}", "models", name) from error
        return self._models[name]

    def _tool(
        self, entry: str | PythonTool | AgentTool | SourceEntry, keys: Keys, name: str | None = None
    ) -> Tool | ToolSource:
        if isinstance(entry, str):
            if name is None and entry in self._spec.tools:
                return self._tool(self._spec.tools[entry], ("tools", entry), entry)
            return _BUILT_IN[entry]
        if isinstance(entry, AgentTool):
            return self.agent(entry.agent).as_tool(name or entry.agent, entry.description)
        if isinstance(entry, SourceEntry):
            return self._source(entry, keys, name)
        made = self._imported(entry, keys)
        if entry.cost is not None:
            made = replace(made, cost=Cost({**made.cost, "usd": nano_usd(entry.cost.usd)}))
        if entry.timeout is not None:
            made = replace(made, timeout=entry.timeout)
        return replace(made, spec=replace(made.spec, name=name)) if name else made

    def _source(self, entry: SourceEntry, keys: Keys, name: str | None) -> Tool | ToolSource:
        try:
            return make_source(entry, Path(self._definition.root.find(keys)[1].place.path).parent, name)
        except AgentkitError as error:
            raise self._definition.error(f"the tool cannot be made: {error}", *keys) from error

    def _imported(self, entry: PythonTool, keys: Keys) -> Tool:
        module, _, function = entry.python.partition(":")
        folder = str(self._definition.path.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
        try:
            target: Any = getattr(import_module(module), function)
            return target if isinstance(target, Tool) else tool(target)
        except (ImportError, AttributeError, AgentkitError, TypeError) as error:
            problem = f"tool {entry.python!r} cannot be made: {error}"
            hint = "give package.module:function of a typed function"
            raise self._definition.error(problem, *keys, hint=hint) from error


def _router(spec: RouterSpec | None) -> Router | None:
    if spec and spec.panel:
        return _panel(spec.panel)
    if spec and spec.multi_round:
        return MultiRoundRouter(spec.multi_round.router, spec.multi_round.models, rounds=spec.multi_round.rounds)
    if spec and spec.fitted:
        return _fitted(spec.fitted)
    if spec and spec.fastest:
        from agentkit.routers.fastest import FastestRouter

        return FastestRouter(preferences=spec.fastest.prefer.preferences if spec.fastest.prefer else None)
    return RuleRouter(spec.rules.order) if spec and spec.rules else None


def _fitted(spec: FittedSpec) -> Router:
    artefact, spend = load_artefact(spec.artefact), spec.usd_per_query
    if not set(spec.models) & set(artefact.estimator.models):
        raise ConfigError(
            f"artefact {spec.artefact} knows none of {', '.join(spec.models)}; the names are those of the table "
            f"it was fitted on: {', '.join(artefact.estimator.models)}"
        )
    wanted = spec.prefer.preferences if spec.prefer else None
    router: Router
    if spec.expected_queries is not None:
        router = artefact.stream(spec.expected_queries, preferences=wanted)
    else:
        average = None if spend is None else float(spend)
        router = artefact.router(spec.quality_per_usd, spend=average, preferences=wanted)
    if (verify := spec.self_verify) is None:
        return router
    if not verify.always and verify.by not in artefact.voters:
        raise ConfigError(
            f"artefact {spec.artefact} was not fitted on votes of {verify.by!r}, so they would say nothing to it; "
            "record some with `always: true`, and fit on the traces"
        )
    return SelfVerifyingRouter(router, verify.by, votes=verify.votes, always=verify.always)


def _panel(spec: PanelSpec) -> Router:
    if spec.fuser is not None:
        return FusionRouter(spec.models, spec.fuser)
    if spec.artefact is None:
        return VoteRouter(spec.models)
    artefact = load_artefact(spec.artefact)
    return artefact.best_of(spec.models) if spec.by == "verifier" else artefact.vote(spec.models)


def _guarded(backend: Backend, spec: ModelSpec) -> Backend:
    """Return the backend behind a gate of its own where the definition says what it can take."""
    if spec.limits is None and spec.breaker is None:
        return backend
    limits = spec.limits or LimitsSpec()
    return Guarded(
        backend,
        limits=RateLimits(
            requests_per_minute=limits.requests_per_minute, tokens_per_minute=limits.tokens_per_minute
        ),
        concurrency=Concurrency(most=limits.concurrency) if limits.concurrency else None,
        breaker=Breaker(**spec.breaker.model_dump()) if spec.breaker else None,
    )


def _resilience(spec: AgentSpec) -> Resilience:
    retry = RetryPolicy(**spec.retry.model_dump()) if spec.retry else RetryPolicy()
    hedge = Hedge(**spec.hedge.model_dump()) if spec.hedge else None
    return Resilience(retry=retry, hedge=hedge, on_overflow=spec.on_overflow)


def _step(spec: StepSpec) -> Step:
    return Step(
        spec.id,
        spec.task or "",
        spec.needs,
        call=None if spec.tool is None else ToolUse.read(spec.tool, spec.arguments),
        on_failure=OnFailure(spec.on_failure, spec.retries),
        share=spec.share,
        seconds=spec.seconds,
    )


def _planner(spec: PlannerSpec | None) -> Planner | None:
    if spec is not None and spec.plan is not None:
        given = spec.plan.model_dump(exclude={"on_failure", "retries"}, exclude_none=True)
        return LLMPlanner(**given, on_failure=OnFailure(spec.plan.on_failure, spec.plan.retries))
    if spec is None or spec.budget_aware is None:
        return None
    proposals = spec.budget_aware.proposals
    return BudgetAware() if proposals is None else BudgetAware(proposals)
