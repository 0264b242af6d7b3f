"""Runs a plan on stand-ins, after TOPGUN (arXiv 2402.10051): its data flow is checked and its price known before.

TOPGUN has a model write pseudo-functions and runs a program over them. Here the plan is a graph already and tools
have types, so the stand-ins come from those, nothing is executed and it costs nothing. In the order in which the
steps could run, each call gets what its references would bring it, and its own parser reads the result. Said is
only what is wrong whatever the results are: a part that no result has, a type that no value of it can have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from pydantic_core import ErrorDetails, ValidationError

from agentkit.costs import Cost
from agentkit.errors import ToolNotFound
from agentkit.planner.base import Plan, Step
from agentkit.planner.check import problem_of, problems_of_use, reference_at, wants_text
from agentkit.planner.stand_in import OPEN, Schema, Unknown, known_parts, part_of, result_schema, stand_in
from agentkit.planner.tool_use import Place, Ref, ToolUse
from agentkit.tools import Registry

RESOURCES: Final = ("usd", "tokens", "requests", "tool_calls")
"""What a price is told in when nobody says."""

Amounts = Mapping[str, int]
TaskPrice = Callable[[Step], Amounts]
"""The most that a step costs which is no tool call; a resource that is absent has no bound."""


@dataclass(frozen=True, slots=True)
class DryStep:
    """A step on stand-ins: what is wrong with it, and the most it costs with every retry and its fallback.

    A resource that is absent from `maximum` has no bound but the run's budget.
    """

    id: str
    what: str
    maximum: Amounts
    problems: tuple[str, ...] = ()
    critical: bool = False


@dataclass(frozen=True, slots=True)
class DryRun:
    """A plan on stand-ins: its steps as they may run, what its tool calls cost if none fails, and the most in all.

    `seconds` is the length of the longest path, by what the plan says of its steps.
    """

    steps: tuple[DryStep, ...]
    calls: Cost
    maximum: Amounts
    seconds: float

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong, by step; nothing for a plan whose data can flow."""
        return tuple(f"step {step.id!r}: {problem}" for step in self.steps for problem in step.problems)

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The steps of the longest path, first to last."""
        return tuple(step.id for step in self.steps if step.critical)


def dry_run(
    plan: Plan,
    tools: Registry,
    task_price: TaskPrice = lambda step: {},
    resources: Sequence[str] = RESOURCES,
    *,
    others: bool = False,
) -> DryRun:
    """Run `plan` on stand-ins of `tools`; `task_price` prices steps that are no tool calls.

    With `others` there are tools that are not known yet, so an unknown name is no problem.
    """
    steps = {step.id: step for step in plan.steps}
    order = list(TopologicalSorter({step.id: step.needs for step in plan.steps}).static_order())
    results = {step_id: _result(step, tools) for step_id, step in steps.items()}
    path, seconds = _critical(plan, order)
    done = []
    for step_id in order:
        step = steps[step_id]
        uses = [use for use in (step.call, step.on_failure.fallback) if use is not None]
        unknown = others and any(not _is_known(use, tools) for use in uses)
        problems = () if unknown else tuple(p for use in uses for p in _problems(use, tools, results))
        what = step.call.tool if step.call else step.task
        done.append(
            DryStep(step_id, what, _maximum(step, tools, task_price, resources), problems, step_id in path)
        )
    called = [tools.get(step.call.tool) for step in steps.values() if step.call and _is_known(step.call, tools)]
    return DryRun(
        tuple(done),
        sum((tool.hold for tool in called), Cost()),
        total([step.maximum for step in done], resources),
        seconds,
    )


def total(amounts: Sequence[Amounts], resources: Sequence[str]) -> dict[str, int]:
    """Return the sum in each of `resources` that is bounded in all."""
    bounded = (name for name in resources if all(name in each for each in amounts))
    return {name: sum(each[name] for each in amounts) for name in bounded}


def _result(step: Step, tools: Registry) -> Schema:
    """Return the schema of a step's result; open for a task, and where a fallback may give something else."""
    if step.call is None or step.on_failure.fallback is not None or not _is_known(step.call, tools):
        return OPEN
    return result_schema(tools.get(step.call.tool))


def _is_known(use: ToolUse, tools: Registry) -> bool:
    try:
        tools.get(use.tool)
    except ToolNotFound:
        return False
    return True


def _problems(use: ToolUse, tools: Registry, results: Mapping[str, Schema]) -> tuple[str, ...]:
    """Return what is wrong with a call as written, else with what flows into it."""
    if problems := problems_of_use(use, tools):
        return problems
    found: list[str] = []
    parts: dict[Ref, Schema] = {}
    for _, ref in use.references:
        part = part_of(results[ref.step], ref.path)
        if part is None:
            has = ", ".join(known_parts(results[ref.step]))
            where = "/".join(map(str, ref.path))
            found.append(f"the result of {ref.step!r} has nothing at {where}{f'; it has {has}' if has else ''}")
        parts[ref] = part or OPEN
    return tuple(found) or _misfits(use, tools, parts)


def _misfits(use: ToolUse, tools: Registry, parts: Mapping[Ref, Schema]) -> tuple[str, ...]:
    """Have the tool's own parser read the call with stand-ins; return what fits no value there."""
    tool, unknown = tools.get(use.tool), set[Ref]()

    def value(place: Place, ref: Ref) -> Any:
        if wants_text(tool.spec.parameters, place):
            return "text"  # which anything can be written as
        try:
            return stand_in(parts[ref])
        except Unknown:
            unknown.add(ref)
            return None

    try:
        tool.parse(json.dumps(use.arguments_with(value)))
    except ValidationError as error:
        wrong: dict[Ref, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False, include_input=False):
            ref = reference_at(use.arguments, detail["loc"])
            if ref is not None and ref not in unknown:
                wrong.setdefault(ref, []).append(detail)
        return tuple(
            f"with what {ref.step!r} gives, {problem_of(use, details[0])}"
            for ref, details in wrong.items()
            if all(_is_certain(detail) for detail in details)
        )
    return ()


def _is_certain(detail: ErrorDetails) -> bool:
    """Tell whether it is the type that is wrong, and not just the value that stands in."""
    return detail["type"].endswith("_type") or detail["type"] in ("missing", "extra_forbidden")


def _maximum(step: Step, tools: Registry, task_price: TaskPrice, resources: Sequence[str]) -> dict[str, int]:
    tries = 1 + step.on_failure.retries
    once = task_price(step) if step.call is None else _price(step.call, tools, resources)
    most = {name: amount * tries for name, amount in once.items()}
    fallback = step.on_failure.fallback
    return most if fallback is None else total([most, _price(fallback, tools, resources)], resources)


def _price(use: ToolUse, tools: Registry, resources: Sequence[str]) -> dict[str, int]:
    """Return the most that a call costs; an agent has no bound but its share."""
    if not _is_known(use, tools) or tools.get(use.tool).spends:
        return {}
    hold = tools.get(use.tool).hold
    return {name: hold[name] for name in resources}


def _critical(plan: Plan, order: list[str]) -> tuple[set[str], float]:
    """Return the steps of the longest path and its length."""
    steps = {step.id: step for step in plan.steps}
    length: dict[str, float] = {}
    for step_id in order:
        step = steps[step_id]
        length[step_id] = step.seconds + max((length[need] for need in step.needs), default=0.0)
    at: str | None = max(order, key=lambda step_id: length[step_id])
    seconds, path = length[at or ""], set[str]()
    while at is not None:
        path.add(at)
        at = max(steps[at].needs, key=lambda need: length[need], default=None)
    return path, seconds
