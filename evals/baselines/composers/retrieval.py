"""Retrieval: the first component found for each skill, as long as the money lasts."""

from __future__ import annotations

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Sandbox
from agentkit.evals.baselines.composers.purse import Purse, bought, ranked


class Retrieval:
    """Tries nothing and buys the top of each list."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the first of each skill that still fits."""
        purse = Purse(scope)
        for skill in range(len(catalog.skills)):
            first = next(iter(ranked(catalog, skill)), None)
            if first is not None and first not in purse.bought and first.cost["usd"] <= purse.left:
                purse.bought.append(first)
        return bought(purse.bought)
