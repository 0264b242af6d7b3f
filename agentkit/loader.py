"""From a definition to objects: `load("agentkit.yaml")` returns the entry agent, ready to run."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from agentkit.agent import MAX_STEPS, Agent
from agentkit.backends.base import Backend
from agentkit.costs import Cost, nano_usd
from agentkit.definition import Definition, read_definition
from agentkit.errors import AgentkitError, SpecError
from agentkit.models import from_spec
from agentkit.routers import Router, RuleRouter
from agentkit.spec import AgentSpec, AgentTool, InstructionsFile, PythonTool, RouterSpec
from agentkit.tools import Tool, calculate, tool

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
            self._agents[name] = self._make_agent(name, self._spec.agents[name])
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
            budget=self._spec.budgets[spec.budget].to_budget() if spec.budget else None,
            temperature=spec.temperature,
            seed=spec.seed,
            max_steps=spec.max_steps or MAX_STEPS,
        )

    def _model(self, name: str) -> Backend:
        if name not in self._models:
            try:
                self._models[name] = from_spec(name, self._spec.models[name])
            except SpecError:
                raise
            except AgentkitError as error:
                raise self._definition.error(f"models.{name}: {error}", "models", name) from error
        return self._models[name]

    def _tool(
        self, entry: str | PythonTool | AgentTool, keys: tuple[str | int, ...], name: str | None = None
    ) -> Tool:
        if isinstance(entry, str):
            if name is None and entry in self._spec.tools:
                return self._tool(self._spec.tools[entry], ("tools", entry), entry)
            return _BUILT_IN[entry]
        if isinstance(entry, AgentTool):
            return self.agent(entry.agent).as_tool(name or entry.agent, entry.description)
        made = self._imported(entry, keys)
        if entry.cost is not None:
            made = replace(made, cost=Cost({**made.cost, "usd": nano_usd(entry.cost.usd)}))
        if entry.timeout is not None:
            made = replace(made, timeout=entry.timeout)
        return replace(made, spec=replace(made.spec, name=name)) if name else made

    def _imported(self, entry: PythonTool, keys: tuple[str | int, ...]) -> Tool:
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
    return RuleRouter(spec.rules.order) if spec and spec.rules else None
