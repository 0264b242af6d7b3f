"""Worlds to compose in: a task with skills, components with prices and priors, and a truth that only the judge
knows.

Prices, and how often the judge of a component is right, follow from `published_hash` of its name and nothing else.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agentkit.budgets import Ledger, Scope
from agentkit.catalog import Catalog, Component, Selection, Skill
from agentkit.composer import Sandbox, Solver, Verdict
from agentkit.costs import NANO, Cost
from agentkit.evals.benches.tool_sets import ToolSet
from agentkit.tools.index import LexicalIndex
from agentkit.tools.index.needs import parts

PRICES = (3, 5, 8)
"""Dollars: free, rate-limited and paid tools of arXiv 2510.16499."""
RIGHT = (0.75, 0.85, 0.95)
"""How often the judge of a component is right."""
TRIAL_USD = 0.05
SHORTLIST, MOST_SKILLS = 10, 6


def published_hash(*words: object) -> float:
    """Return a number in [0, 1): the first 48 bits of SHA-256 of the words, joined by "|"."""
    digest = hashlib.sha256("|".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass(frozen=True, slots=True)
class World:
    """What a composer is shown (`catalog`), and what is so: who helps with which skill, and what is broken.

    `right` is by component how often its judge is right; `needed` has the weight of each need and the components
    of which one is enough for it.
    """

    name: str
    catalog: Catalog
    helps: frozenset[tuple[str, int]]
    broken: frozenset[str]
    right: Mapping[str, float]
    needed: Sequence[tuple[float, frozenset[str]]]
    trial_usd: float = TRIAL_USD

    def value(self, selection: Selection) -> float:
        """Return the true share of the task that `selection` covers."""
        whole = sum(weight for weight, _ in self.needed)
        return sum(weight for weight, enough in self.needed if enough & selection.chosen) / whole


class DrawnVerdicts:
    """A sandbox whose judge knows the truth and errs; the same trial has the same verdict for every solver."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places = {skill: place for place, skill in enumerate(world.catalog.skills)}
        self.price = Cost(usd=round(world.trial_usd * NANO))

    async def trial(self, component: Component, skill: Skill, number: int, scope: Scope) -> Verdict:
        """Charge the scope and return the verdict."""
        hold = await scope.reserve(self.price, what=f"trial:{component.name}", dispatch=True)
        await hold.settle(self.price)
        world, place = self._world, self._places[skill]
        if component.key in world.broken:
            return Verdict.BROKEN
        right = published_hash(world.name, component.key, place, number) < world.right[component.key]
        return Verdict.HELPED if ((component.key, place) in world.helps) is right else Verdict.USELESS


@dataclass(frozen=True, slots=True)
class Played:
    """What a solver covered, what it spent in all and on trials (nano-dollars), and how many it made."""

    value: float
    spent: int
    on_trials: int
    trials: int


async def play(world: World, solver: Solver, budget: int | None) -> Played:
    """Let a solver try and buy in a scope of `budget` nano-dollars; every trial and purchase is in its ledger."""
    sandbox: Sandbox = DrawnVerdicts(world)
    with Ledger.open() as ledger:
        scope = ledger.scope(world.name, limits=None if budget is None else Cost(usd=budget))
        selection = await solver.solve(world.catalog, sandbox, scope)
        on_trials = scope.view().spent["usd"]
        hold = await scope.reserve(selection.cost, what="purchase", dispatch=True)
        await hold.settle(selection.cost)
        spent = scope.view().spent["usd"]
        return Played(world.value(selection), spent, on_trials, on_trials // max(sandbox.price["usd"], 1))


def toy(seed: int, right: float = 0.9, *, flat: bool = False, trial_usd: float = TRIAL_USD) -> World:
    """Return the world of research on the paper: 120 tools, six skills of weight 1 to 3, 15 % of the tools broken.

    Prices go with quality, retrieval is only roughly informative; `flat` makes every price $1.
    """
    draw = random.Random(seed)
    skills = tuple(Skill(f"skill {place}", draw.randint(1, 3)) for place in range(MOST_SKILLS))
    helps: set[tuple[str, int]] = set()
    likeness: dict[str, list[float]] = {}
    components: list[Component] = []
    broken: set[str] = set()
    for number in range(120):
        tier = draw.randrange(3)
        key = f"tool:tool{number}"
        if draw.random() < 0.15:
            broken.add(key)
        claims = set(draw.sample(range(MOST_SKILLS), draw.choice((1, 1, 2))))
        good = {s for s in claims if draw.random() < (0.2, 0.35, 0.5)[tier]}
        if key not in broken:
            helps |= {(key, s) for s in good}
        likeness[key] = [0.5 * (s in claims) + 0.15 * (s in good) + draw.gauss(0, 0.2) for s in range(MOST_SKILLS)]
        price = 1 if flat else PRICES[tier]
        components.append(Component(f"tool{number}", "tool", Cost(usd=price * NANO), 0.0))
    shortlists = [_best({key: row[s] for key, row in likeness.items()}) for s in range(MOST_SKILLS)]
    needed = [
        (skill.weight, frozenset(key for key, s in helps if s == place)) for place, skill in enumerate(skills)
    ]
    catalog = Catalog(tuple(components), skills)
    world = World(
        f"toy {seed}",
        catalog,
        frozenset(helps),
        frozenset(broken),
        dict.fromkeys(likeness, right),
        needed,
        trial_usd,
    )
    return _shortlisted(world, shortlists)


def gold(tools: ToolSet, index: LexicalIndex) -> list[World]:
    """Return a world for every question of a set: its skills are the parts of its text, the gold tools the truth.

    A gold tool helps with the part whose words fit it best, a matter for the judge; owning it is worth its share
    of the gold tools. The catalog holds what the words of each part find.
    """
    keys = [f"tool:{tool.name}" for tool in tools.tools]
    components = [
        Component(tool.name, "tool", Cost(usd=PRICES[int(3 * published_hash("price", tool.name))] * NANO), 0.0)
        for tool in tools.tools
    ]
    right = {
        key: RIGHT[int(3 * published_hash("judge", tool.name))]
        for key, tool in zip(keys, tools.tools, strict=True)
    }
    worlds = []
    for number, asked in enumerate(tools.asked):
        pieces = parts(asked.text)[:MOST_SKILLS] or (asked.text,)
        scores = [index.scores(piece) for piece in pieces]
        shortlists = [
            _best({key: score for key, score in zip(keys, row, strict=True) if score > 0}) for row in scores
        ]
        best = {place: max(row[place] for row in scores) for place in asked.gold}
        helps = {
            (keys[place], s) for place in asked.gold for s, row in enumerate(scores) if row[place] == best[place]
        }
        listed = {key for one in shortlists for key in one}
        catalog = Catalog(
            tuple(component for component in components if component.key in listed),
            tuple(Skill(f"{s}: {piece}", 1 / len(pieces), (piece,)) for s, piece in enumerate(pieces)),
            asked.text,
        )
        needed = [(1.0, frozenset([keys[place]])) for place in asked.gold]
        world = World(f"{tools.name} {number}", catalog, frozenset(helps), frozenset(), right, needed)
        worlds.append(_shortlisted(world, shortlists))
    return worlds


def believing(world: World, by_rank: Sequence[float]) -> World:
    """Return the world with `by_rank` as the prior of the first, second, … found for a skill."""
    components = tuple(
        replace(c, covers=tuple(by_rank[round(1 / rank) - 1] if rank else 0.0 for rank in c.covers))
        for c in world.catalog.components
    )
    return replace(world, catalog=replace(world.catalog, components=components))


def helpful_by_rank(worlds: Sequence[World]) -> list[float]:
    """Return how often what was found first, second, … for a skill helps with it, smoothed and falling."""
    hits, seen = [0.5] * SHORTLIST, [2.0] * SHORTLIST
    for world in worlds:
        for component in world.catalog.components:
            for skill, rank in enumerate(component.covers):
                if rank:
                    seen[round(1 / rank) - 1] += 1
                    hits[round(1 / rank) - 1] += (component.key, skill) in world.helps
    rates = [hit / total for hit, total in zip(hits, seen, strict=True)]
    # strictly falling, so that the order of the list can be read off
    return [min(rates[: place + 1]) * (1 - 1e-6 * place) for place in range(SHORTLIST)]


def _best(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda key: -scores[key])[:SHORTLIST]


def _shortlisted(world: World, shortlists: Sequence[Sequence[str]]) -> World:
    """Write 1/rank for what each skill's list has, 0 for the rest; `believing` makes probabilities of them."""
    ranks = [{key: place + 1 for place, key in enumerate(one)} for one in shortlists]
    components = tuple(
        replace(c, covers=tuple(1 / rank[c.key] if c.key in rank else 0.0 for rank in ranks))
        for c in world.catalog.components
        if any(c.key in rank for rank in ranks)
    )
    return replace(world, catalog=replace(world.catalog, components=components))
