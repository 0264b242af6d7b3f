"""Choosing by what is believed beforehand: composers without trials, as solvers."""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Composer, Sandbox
from agentkit.composer.explanation import explained
from agentkit.composer.greedy import by_greed
from agentkit.composer.masks import by_masks
from agentkit.composer.shelf import shelves


class Untried:
    """A composer that leaves the sandbox alone."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer

    async def solve(self, catalog: Catalog, sandbox: Sandbox, scope: Scope) -> Selection:
        """Return the composer's choice."""
        return self._composer.compose(catalog, scope.view().available)


class Greedy:
    """Budgeted submodular greedy with the best single component as a safeguard."""

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Return the best of the shelves' greedy choices."""
        found = [(shelf, by_greed(shelf)) for shelf in shelves(catalog, available)]
        shelf, places = max(found, key=lambda one: one[0].value(one[1]))
        return explained(catalog, shelf, places)


class Masks:
    """The exact table over sets of skills, which takes what is likely for certain."""

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Return the best of the shelves' exact choices."""
        found = [(shelf, by_masks(shelf)) for shelf in shelves(catalog, available)]
        shelf, places = max(found, key=lambda one: one[0].value(one[1]))
        return explained(catalog, shelf, places)
