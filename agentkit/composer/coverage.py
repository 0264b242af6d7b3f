"""Chooses a model and what to put beside it by the skills that the task asks for.

Where coverage is certain the choice is exact (`masks.py`); where it has probabilities it is the optimum or carries
a bound on what is missed (`bounded.py`). A catalog without skills gets those of its task; one without a task is
left to the knapsack over single values.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.catalog import Catalog, Selection
from agentkit.composer.bounded import by_bounds
from agentkit.composer.explanation import explained
from agentkit.composer.knapsack import KnapsackComposer
from agentkit.composer.masks import by_masks, certain
from agentkit.composer.shelf import Shelf, rents, shelves


class CoverageComposer:
    """Chooses one model, and the tools and agents that together cover most of the skills within the budget.

    `worth` is what keeping the whole budget would be worth, as a share of covering every skill: at 0 it is spent
    as long as it adds anything.
    """

    def __init__(self, *, worth: float = 0.0) -> None:
        self._worth = worth

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Return the best selection; see `Composer.compose`."""
        catalog = catalog.by_skill()
        if not catalog.skills:
            return KnapsackComposer().compose(catalog, available)
        return choose(catalog, available, rents(catalog, available, self._worth))


def choose(catalog: Catalog, available: Mapping[str, int], rent: Mapping[str, float]) -> Selection:
    """Return the best selection from a catalog with skills, where a unit of what is kept is worth its `rent`."""
    solved = [(shelf, *_solved(shelf)) for shelf in shelves(catalog, available, rent)]
    shelf, places, _ = max(solved, key=lambda one: (one[0].net(one[1]) - one[0].fee, one[0].room))
    return explained(catalog, shelf, places, max(bound - one.fee for one, _, bound in solved) + shelf.fee)


def _solved(shelf: Shelf) -> tuple[tuple[int, ...], float]:
    if certain(shelf):
        places = by_masks(shelf)
        return places, shelf.net(places)
    return by_bounds(shelf)
