"""The paper's offline knapsack: similarity as value, additive, and every skill covered by something if it can be.

    maximise Σ_i x_i Σ_j w_j s_ij   subject to   Σ c_i x_i ≤ B,   Σ_{i: s_ij > 0} x_i ≥ y_j,   reward of y_j above
    all

The hard constraint y_j = 1 of arXiv 2510.16499 has no solution on small budgets, so that each skill covered is
rewarded above any similarity instead. Solved by HiGHS through scipy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Sandbox
from agentkit.errors import MissingExtra
from agentkit.evals.baselines.composers.purse import bought


class SimilarityIlp:
    """Tries nothing and maximises similarity."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the optimum of the integer program; raises MissingExtra without scipy."""
        try:
            from scipy.optimize import Bounds, LinearConstraint, milp
        except ImportError as error:
            raise MissingExtra("routing", "scipy") from error
        items = [component for component in catalog.components if any(component.covers)]
        skills = len(catalog.skills)
        room = scope.view().available["usd"]
        if not items or room <= 0:
            return bought(())
        likeness = [sum(s.weight * c for s, c in zip(catalog.skills, i.covers, strict=True)) for i in items]
        reward = sum(likeness) + 1
        budget = [[item.cost["usd"] / room for item in items] + [0.0] * skills]
        cover = [
            [float(item.covers[j] > 0) for item in items] + [-float(j == other) for other in range(skills)]
            for j in range(skills)
        ]
        with _solver_output_on_stderr():
            result = milp(
                [-value for value in likeness] + [-reward] * skills,
                integrality=[1] * (len(items) + skills),
                bounds=Bounds(0, 1),
                constraints=[LinearConstraint(budget, ub=1), LinearConstraint(cover, lb=0)],
            )
        return bought(item for item, taken in zip(items, result.x, strict=False) if taken > 0.5)


@contextmanager
def _solver_output_on_stderr() -> Iterator[None]:
    """HiGHS prints a line of its own now and then, whatever it is told; stdout is for data."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
