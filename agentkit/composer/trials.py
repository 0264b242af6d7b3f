"""Trying components before they are bought: what a sandbox is asked and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Component, Selection, Skill
from agentkit.costs import Cost
from agentkit.errors import ToolError


class Verdict(Enum):
    """What a judge says of one trial."""

    HELPED = "helped"
    USELESS = "useless"
    BROKEN = "broken"


class Sandbox(Protocol):
    """Tries a component on one question of a skill; the scope it is handed pays, at most `price`."""

    price: Cost

    async def trial(self, component: Component, skill: Skill, number: int, scope: Scope) -> Verdict:
        """Return what the judge says of trial `number`, from 0, of this component for this skill."""
        ...


class Solver(Protocol):
    """Chooses within what a scope has left; trials, where it makes any, are paid from the same scope."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return what to buy with what the trials leave of the scope."""
        ...


Attempt = Callable[[Component, str, Scope], Awaitable[str]]
"""Runs an agent that has the component on a question and returns what it did."""
Judge = Callable[[str, str, Scope], Awaitable[Verdict]]
"""Says of a question and of what was done whether it helped."""


class AgentSandbox:
    """A sandbox of two parts that know nothing of each other: one attempts, another judges what it did.

    The judge never sees which component was tried nor what the composer thinks of it. What attempt and judge spend
    goes through a share of the scope that is capped at `price`. A component whose attempt ends in a tool's error
    is broken; what a provider or the budget raises says nothing of it and passes through.
    """

    def __init__(self, attempt: Attempt, judge: Judge, price: Cost) -> None:
        self.price = price
        self._attempt, self._judge = attempt, judge

    async def trial(self, component: Component, skill: Skill, number: int, scope: Scope) -> Verdict:
        """Attempt the skill's query `number` (round and round) and have it judged."""
        queries = skill.queries or (skill.name,)
        query = queries[number % len(queries)]
        async with scope.share(self.price) as share:
            try:
                done = await self._attempt(component, query, share)
            except ToolError:
                return Verdict.BROKEN
            return await self._judge(query, done, share)
