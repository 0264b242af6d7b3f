"""Try everything that was found twice, then buy the exact optimum of what helped both times."""

from __future__ import annotations

from dataclasses import replace

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Component, Selection
from agentkit.composer import CoverageComposer, Sandbox, Verdict
from agentkit.evals.baselines.composers.purse import QUERIES, Purse


class TryAll:
    """Spends on trials until they are done or the least costly component could no longer be bought."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the optimum over the skills of which both trials helped."""
        purse = Purse(scope)
        least = min((component.cost["usd"] for component in catalog.components), default=0)
        seen: list[Component] = []
        for component in catalog.components:
            covers = [0.0] * len(catalog.skills)
            for skill in (s for s, chance in enumerate(component.covers) if chance):
                if purse.left - QUERIES * sandbox.price["usd"] < least:
                    break
                verdicts = await purse.tried(catalog, component, skill, sandbox)
                if Verdict.BROKEN in verdicts:
                    covers = [0.0] * len(catalog.skills)
                    break
                covers[skill] = float(all(verdict is Verdict.HELPED for verdict in verdicts))
            seen.append(replace(component, covers=tuple(covers)))
        found = replace(catalog, components=tuple(seen))
        return CoverageComposer().compose(found, scope.view().available)
