"""Solutions of single tasks made general, and what is the same twice kept once; after CRAFT (arXiv 2309.17428).

A model turns the code that solved one task into a function for all like it, which has to give the task's answer
again. Of functions of one name and arity the shortest is kept, and so it is of functions whose parameters have the
same types and which give the same on all inputs that either was tried on (CRAFT goes by name and arguments only).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentkit.budgets import Scope
from agentkit.errors import BudgetError
from agentkit.toolmaking.example import Example
from agentkit.toolmaking.made_tool import MadeTool
from agentkit.toolmaking.maker import Assignment, Maker, check
from agentkit.toolmaking.prompts import abstracting_prompt
from agentkit.toolmaking.proposal import Proposal
from agentkit.tools.sandbox import Sandbox
from agentkit.trace import Event

LEAST_SHARED = 2
"""Inputs on which two functions must give the same: on a single one many do."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A solved task, and the Python code that solved it."""

    example: Example
    code: str


async def distil(solutions: Sequence[Solution], maker: Maker, scope: Scope) -> tuple[MadeTool, ...]:
    """Return general tools for `solutions`, each once, named after their functions; `scope` pays.

    A solution that cannot be made general is passed over; at the limit there are those made so far.
    """
    found: list[MadeTool] = []
    try:
        for solution in solutions:
            prompt = abstracting_prompt(solution.example, solution.code)
            made = await maker.settle(Assignment("solution", (solution.example,), 1), prompt, scope)
            if made is not None:
                found.append(replace(made, family=Proposal.read(made.code).name))
        return await without_duplicates(found, maker.sandbox, scope, maker.emit)
    except BudgetError:  # what was made is paid for; by name it can be told apart for nothing
        return _shortest(found, [Proposal.read(made.code).shape for made in found])


async def without_duplicates(
    tools: Iterable[MadeTool], sandbox: Sandbox, scope: Scope, emit: Callable[[Event], None] = lambda event: None
) -> tuple[MadeTool, ...]:
    """Return the shortest of `tools` that are the same by name and arity, or by what they do; `scope` pays."""
    given = list(tools)
    named = _shortest(given, [Proposal.read(made.code).shape for made in given])
    alike: dict[tuple[str, ...], list[MadeTool]] = {}
    for made in named:
        alike.setdefault(_kinds(made), []).append(made)
    kept: set[MadeTool] = set()
    for group in alike.values():
        kept.update(_shortest(group, await _behaviours(group, given, sandbox, scope, emit)))
    return tuple(made for made in named if made in kept)


async def _behaviours(
    group: Sequence[MadeTool],
    given: Sequence[MadeTool],
    sandbox: Sandbox,
    scope: Scope,
    emit: Callable[[Event], None],
) -> list[object]:
    """Return by tool what it gives on the inputs of all of `given` that are called alike."""
    if len(group) < 2:
        return [made.digest for made in group]
    kinds = _kinds(group[0])
    values = [row for made in given if _kinds(made) == kinds for row in _values(made)]
    inputs = list({json.dumps(row): row for row in values}.values())
    if len(inputs) < LEAST_SHARED:
        return [made.digest for made in group]
    found: list[object] = []
    for made in group:
        proposal = Proposal.read(made.code)
        names = [parameter.name for parameter in proposal.parameters]
        calls = [json.dumps(dict(zip(names, row, strict=True))) for row in inputs]
        came = await check(sandbox, proposal, calls, scope, emit)
        whole = not any(result.failed for result in came)
        found.append(tuple(result.text for result in came) if whole else made.digest)
    return found


def _kinds(made: MadeTool) -> tuple[str, ...]:
    return tuple(str(parameter.annotation) for parameter in Proposal.read(made.code).parameters)


def _values(made: MadeTool) -> list[list[Any]]:
    """Return the arguments of the calls that show `made`, in the order of its parameters; of whole calls only."""
    names = [parameter.name for parameter in Proposal.read(made.code).parameters]
    calls: list[Mapping[str, Any]] = [json.loads(shown.arguments) for shown in made.demonstrations]
    return [[call[name] for name in names] for call in calls if call.keys() == set(names)]


def _shortest(tools: Sequence[MadeTool], keys: Sequence[object]) -> tuple[MadeTool, ...]:
    """Return of the tools with one key the one whose code is shortest, in the order of the keys."""
    kept: dict[object, MadeTool] = {}
    for made, key in zip(tools, keys, strict=True):
        if key not in kept or len(made.code) < len(kept[key].code):
            kept[key] = made
    return tuple(kept.values())
