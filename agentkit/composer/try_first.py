"""Try first, buy afterwards: components are tried where it pays, and what the trials leave buys the best choice.

A trial commits to nothing, so nothing is bought before the last one; the online composer of "Automated Composition
of Agents: A Knapsack Approach" (arXiv 2510.16499) buys as it goes and can take nothing back. Trials draw on the
same scope as everything else, the next one is picked by what it is expected to add (`pandora.py`) and its verdict
is one of a judge who errs (`verdicts.py`).
"""

from __future__ import annotations

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer.coverage import choose
from agentkit.composer.greedy import by_greed
from agentkit.composer.pandora import Trial, next_trial
from agentkit.composer.shelf import Shelf, rents, shelves
from agentkit.composer.trials import Sandbox, Verdict
from agentkit.composer.verdicts import Verdicts
from agentkit.errors import BudgetExceeded, Saturated

WORTH, TRIALS = 0.05, 300


class TryFirst:
    """The `Solver` to use where components can be tried.

    `worth` is what keeping the whole budget would be worth, as a share of covering every skill: a trial and a
    purchase have to add more than their price is worth. At 0 all is spent that is expected to add anything.
    `trials` ends the trying where no budget does.
    """

    def __init__(self, *, worth: float = WORTH, trials: int = TRIALS) -> None:
        self._worth, self._trials = worth, trials

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the choice; its cost is not yet spent, that of the trials is."""
        catalog = catalog.by_skill()
        verdicts = Verdicts(catalog)
        rent = rents(catalog, scope.view().available, self._worth)
        while True:
            believed = verdicts.catalog()
            available = scope.view().available
            shelf = max(shelves(believed, available, rent), key=_promise)
            trial = next_trial(shelf, tuple(sandbox.price[name] for name in shelf.limited), verdicts.reliability)
            if trial is None or verdicts.total >= self._trials:
                return choose(believed, available, rent)
            if not await _tried(catalog, shelf, trial, verdicts, sandbox, scope):
                return choose(verdicts.catalog(), scope.view().available, rent)


async def _tried(
    catalog: Catalog, shelf: Shelf, trial: Trial, verdicts: Verdicts, sandbox: Sandbox, scope: Scope
) -> bool:
    """Ask for the verdicts of `trial`; False if they cannot be paid."""
    component = shelf.offers[trial.place].component
    for _ in range(trial.times):
        number = verdicts.count(component, trial.skill)
        try:
            verdict = await sandbox.trial(component, catalog.skills[trial.skill], number, scope)
        except (BudgetExceeded, Saturated):  # of a resource that the sandbox's price does not name
            return False
        verdicts.add(component, trial.skill, verdict)
        if verdict is Verdict.BROKEN:
            break
    return True


def _promise(shelf: Shelf) -> float:
    return shelf.net(by_greed(shelf)) - shelf.fee
