"""Checks between the entries of a definition: every name is defined, and no agent is its own tool."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from agentkit.spec import BUILTIN_TOOLS, AgentSpec, AgentTool, AppSpec
from agentkit.yaml_reader import Keys, Node, dotted


def check_references(spec: AppSpec, root: Node) -> None:
    """Raise SpecError at the first name that is not defined, or agent that calls itself in a circle."""
    for reference in _references(spec):
        if reference.name not in reference.known:
            node = root.find(reference.keys)[1]
            shown = "the variable's value" if node.from_env else repr(reference.name)
            what = f"{dotted(reference.keys)}: {shown} is not one of the {reference.kind}"
            raise node.error(what, suggest(reference.name, reference.known))
    _check_circles(spec, root)


def suggest(name: str, known: Collection[str]) -> str:
    """Return the hint for a wrong `name`: the closest of `known`, else all of them."""
    close = get_close_matches(name, known, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(known)}" if known else "none are defined"


@dataclass(frozen=True, slots=True)
class _Reference:
    """The text `name` at `keys`, which must be one of `known`; `kind` says what those are, in the plural."""

    keys: Keys
    kind: str
    name: str
    known: Collection[str]


def _references(spec: AppSpec) -> Iterator[_Reference]:
    for name, tool in spec.tools.items():
        if isinstance(tool, AgentTool):
            yield _Reference(("tools", name, "agent"), "agents", tool.agent, spec.agents)
    for name, pool in spec.pools.items():
        for i, model in enumerate(pool.endpoints):
            yield _Reference(("pools", name, "endpoints", i), "models", model, spec.models)
    for name, router in spec.routers.items():
        for keys, model in router.named():
            yield _Reference(("routers", name, *keys), "models", model, _callable(spec))
    for name, agent in spec.agents.items():
        yield from _references_of(agent, spec, ("agents", name))
    yield _Reference(("entry",), "agents", spec.entry, spec.agents)


def _references_of(agent: AgentSpec, spec: AppSpec, keys: Keys) -> Iterator[_Reference]:
    if agent.model is not None:
        yield _Reference((*keys, "model"), "models", agent.model, _callable(spec))
    for trigger, models in agent.fallbacks.items():
        for i, model in enumerate(models):
            yield _Reference((*keys, "fallbacks", trigger, i), "models", model, _callable(spec))
    if agent.router is not None:
        yield _Reference((*keys, "router"), "routers", agent.router, spec.routers)
        if router := spec.routers.get(agent.router):
            kind = f"models of router {agent.router!r}"
            for i, model in enumerate(agent.models or ()):
                yield _Reference((*keys, "models", i), kind, model, router.order)
    if agent.tool_search is not None and agent.tool_search.model is not None:
        yield _Reference((*keys, "tool_search", "model"), "models", agent.tool_search.model, _callable(spec))
    if agent.budget is not None:
        yield _Reference((*keys, "budget"), "budgets", agent.budget, spec.budgets)
    if agent.tool_making is not None:
        yield _Reference((*keys, "tool_making", "maker"), "agents", agent.tool_making.maker, spec.agents)
    if agent.policy is not None:
        yield _Reference((*keys, "policy"), "policies", agent.policy, spec.policies)
    steps = agent.planner.fixed.steps if agent.planner is not None and agent.planner.fixed is not None else ()
    for i, step in enumerate(steps):
        others = [other.id for other in steps if other is not step]
        for j, need in enumerate(step.needs):
            yield _Reference((*keys, "planner", "fixed", "steps", i, "needs", j), "other steps", need, others)
    for i, other in enumerate(agent.handoffs):
        yield _Reference((*keys, "handoffs", i), "agents", other, spec.agents)
    for i, tool in enumerate(agent.tools):
        if isinstance(tool, AgentTool):
            yield _Reference((*keys, "tools", i, "agent"), "agents", tool.agent, spec.agents)
        elif isinstance(tool, str):
            yield _Reference((*keys, "tools", i), "tools", tool, [*spec.tools, *BUILTIN_TOOLS])


def _callable(spec: AppSpec) -> list[str]:
    return [*spec.models, *spec.pools]


def _check_circles(spec: AppSpec, root: Node) -> None:
    callees = {name: [other for _, other in _agents_of(agent, spec)] for name, agent in spec.agents.items()}
    try:
        TopologicalSorter(callees).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # the sorter lists each agent before its caller
        place = next(keys for keys, other in _agents_of(spec.agents[circle[0]], spec) if other == circle[1])
        node = root.find(("agents", circle[0], *place))[1]
        raise node.place.error(f"agents have each other as tools in a circle: {' -> '.join(circle)}") from None


def _agents_of(agent: AgentSpec, spec: AppSpec) -> Iterable[tuple[Keys, str]]:
    """Yield the place and name of each agent that `agent` has as a tool or as a maker of tools."""
    for i, choice in enumerate(agent.tools):
        tool = spec.tools.get(choice) if isinstance(choice, str) else choice
        if isinstance(tool, AgentTool):
            yield ("tools", i), tool.agent
    if agent.tool_making is not None:
        yield ("tool_making", "maker"), agent.tool_making.maker
