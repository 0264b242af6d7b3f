"""Multiple-choice knapsack: at most one component for each skill, chosen together under the budget.

    maximise Σ_j w_j p_{i(j) j}   subject to   Σ_j c_{i(j)} ≤ B,   i(j) a candidate of skill j or nothing

Exact over the undominated (price, value) pairs, class by class (Kellerer, Pferschy and Pisinger, Knapsack
Problems, 2004, chapter 11). It neither sees that one component may cover two skills nor that two are surer than
one.
"""

from __future__ import annotations

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Component, Selection
from agentkit.composer import Sandbox
from agentkit.evals.baselines.composers.purse import bought, ranked

Pair = tuple[int, float, tuple[Component, ...]]


class MultipleChoice:
    """Tries nothing and assigns the best affordable candidate to each skill."""

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the optimum."""
        room = scope.view().available["usd"]
        states: list[Pair] = [(0, 0.0, ())]
        for place, skill in enumerate(catalog.skills):
            grown = [
                (price + one.cost["usd"], value + skill.weight * one.covers[place], (*chosen, one))
                for price, value, chosen in states
                for one in ranked(catalog, place)
                if price + one.cost["usd"] <= room
            ]
            states = _undominated([*states, *grown])
        return bought(max(states, key=lambda state: state[1])[2])


def _undominated(states: list[Pair]) -> list[Pair]:
    kept: list[Pair] = []
    for state in sorted(states, key=lambda one: (one[0], -one[1])):
        if not kept or state[1] > kept[-1][1]:
            kept.append(state)
    return kept
