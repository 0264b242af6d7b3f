"""The online knapsack of "Automated Composition of Agents: A Knapsack Approach" (arXiv 2510.16499).

    buy i if v_i / c_i ≥ Ψ(z),   Ψ(z) = (U e / L)^z · L / e,   L = 1 / max c,   U = Σ_j w_j / min c

z is the share of the budget that is spent on components, v_i the weight of the uncovered skills that i helped with
in its trials. Zhou, Chakrabarty and Lukose's threshold (WINE 2008) is ln(U/L) + 1 competitive if every item is
small beside the budget, which tools at $3 to $8 under $10 to $30 are not. The paper leaves open whether any or all
of a skill's trials have to help; both are here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Sandbox, Verdict
from agentkit.evals.baselines.composers.purse import Purse, bought, ranked

Rule = Callable[[Iterable[bool]], bool]


class Zcl:
    """Tries the candidates skill by skill and buys or passes on each for good; `rule` is `any` or `all`."""

    def __init__(self, rule: Rule, *, threshold: bool = True) -> None:
        self._rule, self._threshold = rule, threshold

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return what was bought on the way."""
        purse, limit = Purse(scope), scope.view().available["usd"]
        prices = [component.cost["usd"] for component in catalog.components]
        covered: set[int] = set()
        passed: set[str] = set()
        for skill in range(len(catalog.skills)):
            for component in ranked(catalog, skill):
                if skill in covered:
                    break
                if component.key in passed:
                    continue
                passed.add(component.key)
                helped: list[int] = []
                for other in (s for s, chance in enumerate(component.covers) if chance and s not in covered):
                    verdicts = await purse.tried(catalog, component, other, sandbox)
                    if Verdict.BROKEN in verdicts:
                        helped = []
                        break
                    if verdicts and self._rule(verdict is Verdict.HELPED for verdict in verdicts):
                        helped.append(other)
                value = sum(catalog.skills[s].weight for s in helped)
                price = component.cost["usd"]
                bar = self._bar(catalog, prices, purse.promised / limit if limit else 1.0)
                if helped and price <= purse.left and value / price >= bar:
                    purse.bought.append(component)
                    covered.update(helped)
        return bought(purse.bought)

    def _bar(self, catalog: Catalog, prices: list[int], share: float) -> float:
        if not self._threshold:
            return 0.0
        least, most = 1 / max(prices), sum(skill.weight for skill in catalog.skills) / min(prices)
        return math.pow(most * math.e / least, share) * least / math.e
