"""Identity: everything there is, whatever it costs."""

from __future__ import annotations

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Sandbox
from agentkit.evals.baselines.composers.purse import bought


class Identity:
    """Buys the whole catalog and looks at no budget."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return all components."""
        return bought(catalog.components)
