"""What the verdicts of a judge who errs add up to: the probability that a component covers a skill.

    odds(covers) = p/(1 − p) · (a/(1 − a))^(helped − useless),   a = ½(1 + √(2g − 1))

p is the prior and a how often the judge is right, which nobody tells us: two verdicts on the same pair agree with
probability g = a² + (1 − a)², and g has a Beta prior that the agreements seen so far update. Counting "any helped"
or "both helped" instead throws away what a second opinion is worth.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from agentkit.catalog import Catalog, Component
from agentkit.composer.trials import Verdict

AGREE, DISAGREE = 6.8, 3.2
"""The Beta prior of agreement: ten pairs of verdicts by a judge who is right four times in five."""
LEAST, MOST = 0.55, 0.99
"""How far a judge is trusted at worst and at best."""


class Verdicts:
    """The verdicts on the components of one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._prior = catalog
        self._helped: Counter[tuple[str, int]] = Counter()
        self._useless: Counter[tuple[str, int]] = Counter()
        self._broken: set[str] = set()

    def add(self, component: Component, skill: int, verdict: Verdict) -> None:
        """Take note of one verdict; a component found broken covers nothing."""
        if verdict is Verdict.BROKEN:
            self._broken.add(component.key)
        elif verdict is Verdict.HELPED:
            self._helped[component.key, skill] += 1
        else:
            self._useless[component.key, skill] += 1

    def count(self, component: Component, skill: int) -> int:
        """Return how many verdicts there are on a pair."""
        return self._helped[component.key, skill] + self._useless[component.key, skill]

    @property
    def total(self) -> int:
        """How many verdicts there are, those on broken components apart."""
        return self._helped.total() + self._useless.total()

    @property
    def reliability(self) -> float:
        """How often the judge is believed to be right."""
        agree, disagree = AGREE, DISAGREE
        for pair in self._helped.keys() | self._useless.keys():
            yes, no = self._helped[pair], self._useless[pair]
            # of n verdicts n − 1 comparisons are independent enough; all pairs would count one verdict often
            pairs = (yes + no) * (yes + no - 1) / 2
            if pairs:
                share = (yes * (yes - 1) + no * (no - 1)) / 2 / pairs
                agree, disagree = agree + share * (yes + no - 1), disagree + (1 - share) * (yes + no - 1)
        likeness = agree / (agree + disagree)
        return min(max(0.5 * (1 + math.sqrt(max(2 * likeness - 1, 0))), LEAST), MOST)

    def catalog(self) -> Catalog:
        """Return the catalog with what is now believed."""
        ratio = self.reliability / (1 - self.reliability)
        return replace(self._prior, components=tuple(self._believed(c, ratio) for c in self._prior.components))

    def _believed(self, component: Component, ratio: float) -> Component:
        if component.key in self._broken:
            return replace(component, covers=(0.0,) * len(component.covers))
        covers = tuple(
            updated(prior, ratio, self._helped[component.key, skill] - self._useless[component.key, skill])
            for skill, prior in enumerate(component.covers)
        )
        return component if covers == component.covers else replace(component, covers=covers)


def updated(prior: float, ratio: float, surplus: int) -> float:
    """Return a probability after verdicts of which `surplus` more said yes, each right at odds of `ratio`."""
    if surplus == 0 or prior in (0, 1):
        return prior
    odds = prior / (1 - prior) * ratio**surplus
    return odds / (1 + odds)
