"""What the solvers of the paper share: dollars set aside as they buy, candidates by skill, verdicts counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Component, Selection
from agentkit.composer import Sandbox, Verdict
from agentkit.composer.sums import total

QUERIES = 2
"""Trials a skill of a component gets, as in the paper."""


@dataclass(slots=True)
class Purse:
    """The dollars of a scope, of which those of what was bought may no longer be spent on trials."""

    scope: Scope
    bought: list[Component] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Nano-dollars that are neither spent nor promised."""
        return self.scope.view().available["usd"] - self.promised

    @property
    def promised(self) -> int:
        """Nano-dollars of what was bought."""
        return sum(component.cost["usd"] for component in self.bought)

    async def tried(self, catalog: Catalog, component: Component, skill: int, sandbox: Sandbox) -> list[Verdict]:
        """Return the verdicts on a pair; fewer than `QUERIES` where the money runs out."""
        verdicts: list[Verdict] = []
        for number in range(QUERIES):
            if sandbox.price["usd"] > self.left:
                break
            verdicts.append(await sandbox.trial(component, catalog.skills[skill], number, self.scope))
        return verdicts


def ranked(catalog: Catalog, skill: int) -> list[Component]:
    """Return the components that retrieval found for a skill, the likeliest first."""
    found = [component for component in catalog.components if component.covers and component.covers[skill] > 0]
    return sorted(found, key=lambda component: -component.covers[skill])


def bought(components: Iterable[Component]) -> Selection:
    """Return the selection of `components`, each counted once."""
    unique = {component.key: component for component in components}
    reasons = dict.fromkeys(unique, "chosen")
    return Selection(frozenset(unique), reasons, 0.0, total(unique.values()))
