"""Decides for a task whether a made tool fits it, whether to make one, or whether to answer without.

`when="pays"` makes a tool once answering directly has cost as much as a making is expected to: whoever does not
know how many more tasks come spends at most twice what a seer would on either (ski rental: A. Karlin, M. Manasse,
L. Rudolph and D. Sleator, Algorithmica 3, 1988). A tool whose uses cost no less than direct answers is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import anyio

from agentkit.budgets import Scope
from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.toolmaking.economics import Economics
from agentkit.toolmaking.example import Family, family_of, read_families
from agentkit.toolmaking.made_tool import MadeTool
from agentkit.toolmaking.maker import SHOWN, UNMAKABLE, Accept, Maker, Model, Until, same_text
from agentkit.toolmaking.prompts import proposing_prompt
from agentkit.toolmaking.store import ToolStore
from agentkit.tools import Tool
from agentkit.tools.sandbox import Sandbox
from agentkit.trace import Event, Failed

When = Literal["always", "pays"]

EXPECTED_CALLS = 4
"""Model calls that a making is expected to take while none was observed: function, calls, and both once more."""
MOST_FAILURES = 2
"""Makings of a family without a tool before no more are tried."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What was decided for a task: the tool it is given, if one, why, and what making it cost just now."""

    family: str | None
    reason: str
    tool: Tool | None = None
    making: Cost = Cost()


class ToolMaking:
    """Makes tools for tasks of `families` and hands them to whoever does the tasks.

    `maker` is an agent of a strong model. `families` are solved examples, or a file of them; `store` is the folder
    that keeps the tools. A making may take the part `share` of what the run has left of each resource and of time;
    without a tool by then the task is answered with the rest. `rounds`, `until` and `accept` are those of `Maker`.
    `sandbox` is where tests and tools run, at the strongest level by default; raises SandboxUnavailable without.
    """

    def __init__(
        self,
        maker: Model,
        families: Sequence[Family] | str | Path,
        store: ToolStore | str | Path,
        *,
        when: When = "pays",
        share: float = 0.5,
        rounds: int = 3,
        until: Until = "passes",
        accept: Accept = same_text,
        sandbox: Sandbox | None = None,
    ) -> None:
        if when not in get_args(When) or until not in get_args(Until):
            raise ConfigError(
                f"tools are made {' or '.join(get_args(When))}, until {' or '.join(get_args(Until))}, "
                f"not {when!r}, until {until!r}"
            )
        if not 0 < share <= 1 or rounds < 0:
            raise ConfigError(
                f"a making takes a share above 0, at most 1, and 0 rounds or more, not {share} and {rounds}"
            )
        self.families = read_families(families) if isinstance(families, str | Path) else tuple(families)
        self.store = store if isinstance(store, ToolStore) else ToolStore(store)
        self._model, self._when, self._share = maker, when, share
        self._rounds, self._until, self._accept = rounds, until, accept
        self._sandbox = sandbox or Sandbox()
        self._under_way: set[str] = set()

    async def decide(
        self,
        task: str,
        scope: Scope,
        emit: Callable[[Event], None] = lambda event: None,
        *,
        taken: Collection[str] = (),
        seconds: float | None = None,
    ) -> Dispatch:
        """Return what `task` is worked on with; `scope` pays a making, which takes no more than its share.

        Tool names in `taken` are not given to another one.
        """
        family = family_of(task, self.families)
        if family is None:
            return Dispatch(None, "it is like no family of solved tasks")
        made = self.store.tool_of(family.name)
        economics = self.store.economics(family.name)
        if made is None and (why := self._not_worth_making(family, economics)):
            return Dispatch(family.name, why)
        making = Cost()
        if made is None:
            made, making = await self._make(family, scope, emit, seconds)
            if made is None:
                return Dispatch(family.name, "no tool could be made", making=making)
        elif self._when == "pays" and economics.is_loss:
            return Dispatch(family.name, f"its tool does not pay: {economics}")
        tool = made.to_tool(self._sandbox)
        if tool.name in taken:
            return Dispatch(family.name, f"there is another tool named {tool.name!r}", making=making)
        return Dispatch(family.name, f"{'made' if making else 'kept'} for {family.name}", tool, making)

    def note(self, dispatch: Dispatch, spent: Cost) -> Economics | None:
        """Count a task answered for `spent`, without the making; return what its family has cost so far."""
        if dispatch.family is None:
            return None
        self.store.note(dispatch.family, "used" if dispatch.tool else "direct", spent["usd"])
        return self.store.economics(dispatch.family)

    def _not_worth_making(self, family: Family, economics: Economics) -> str:
        """Say why no tool is made for `family` now, nothing when one is."""
        if economics.failures >= MOST_FAILURES:
            return f"{economics.failures} makings gave no tool"
        if family.name in self._under_way:
            return "its tool is being made"
        if self._when == "always":
            return ""
        expected = self.store.making_price()
        if expected is None:
            prompt = proposing_prompt(family.examples[:SHOWN])
            try:
                expected = EXPECTED_CALLS * self._model.minimum(prompt)["usd"]
            except UNMAKABLE as error:
                return f"what a making costs cannot be said: {error}"
        if economics.direct < expected:
            spent, price = economics.direct / 1e9, expected / 1e9
            return f"direct answers have cost ${spent:.6f} so far, a making is expected to cost ${price:.6f}"
        return ""

    async def _make(
        self, family: Family, scope: Scope, emit: Callable[[Event], None], seconds: float | None
    ) -> tuple[MadeTool | None, Cost]:
        """Make and keep the tool of `family` within the share; return it and what was spent, with or without."""
        room = scope.view().available
        made, before = None, scope.view().spent
        maker = Maker(
            model=self._model,
            sandbox=self._sandbox,
            rounds=self._rounds,
            until=self._until,
            accept=self._accept,
            emit=emit,
        )
        self._under_way.add(family.name)
        try:
            with anyio.move_on_after(None if seconds is None else seconds * self._share):
                async with scope.share({name: int(left * self._share) for name, left in room.items()}) as share:
                    made = await maker.make(family, share)
        except UNMAKABLE as error:
            emit(Failed(f"make:{family.name}", str(error)))
        finally:
            self._under_way.discard(family.name)
        spent = scope.view().spent.minus(before)
        if made is not None:
            self.store.keep(made)
        if spent:
            self.store.note(family.name, "failed" if made is None else "made", spent["usd"])
        return made, spent
