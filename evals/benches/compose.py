"""`agentkit bench compose`: what each way of choosing components covers for its whole spend, trials included.

The toy world of research on the paper's method and five question sets of four public tool collections. Skills come
from the text of the question alone, prices and the judge's errors from a published hash, and the judge knows the
gold tools, which no solver sees. Priors by rank come from other seeds (toy) or from the other sets (gold), so that
nothing is fitted to what is measured. Beside the same budget for all there is the comparison at equal total spend,
paired by question (`default_less_…`): under the same budget the default is told that money is worth more, step by
step, until it spends on average no more than the other solver. What it covers has no part in that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import anyio

from agentkit.catalog import Catalog, Skill
from agentkit.composer import CoverageComposer, Solver, TryFirst
from agentkit.costs import NANO
from agentkit.evals.baselines.composers import (
    FirstFit,
    Greedy,
    Identity,
    Masks,
    MultipleChoice,
    Retrieval,
    SimilarityIlp,
    TryAll,
    Untried,
    Zcl,
)
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.compose_exact import gaps, scale, small_cases
from agentkit.evals.benches.compose_worlds import Played, World, believing, gold, helpful_by_rank, play, toy
from agentkit.evals.benches.tool_sets import SETS, read
from agentkit.evals.statistics import bootstrap_mean
from agentkit.tools.index import LexicalIndex

SEED = 620_000
SEEDS, QUESTIONS, PRIOR_SEEDS = 40, 140, 100
GOLD_BUDGETS = (10, 20)
SOLVERS: Mapping[str, Solver] = {
    "default": TryFirst(),
    "retrieval": Retrieval(),
    "zcl_any": Zcl(any),
    "zcl": Zcl(all),
    "first_fit": FirstFit(),
    "try_all": TryAll(),
    "untried": Untried(CoverageComposer()),
    "greedy": Untried(Greedy()),
    "masks": Untried(Masks()),
    "multiple_choice": MultipleChoice(),
    "similarity_ilp": SimilarityIlp(),
}
"""What is measured; identity, which knows no budget, and the oracle, which knows the truth, are added."""
WORTHS = (0.15, 0.3, 0.45, 0.6, 0.8, 1.2, 5.0)
"""What the whole budget is worth to the default, after its own 0.05, until it spends little enough."""
PAIRED = ("zcl", "zcl_any", "first_fit", "retrieval")


@dataclass(frozen=True, slots=True)
class Case:
    """Worlds of one kind and the budgets, in dollars, they are played under."""

    name: str
    worlds: Sequence[World]
    budgets: Sequence[int]


def run(options: Options) -> BenchResult:
    """Play every world with every solver."""
    cases = _cases(options)
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for case in cases:
        pairs: dict[str, list[tuple[Sequence[Played], Sequence[Played]]]] = {rival: [] for rival in PAIRED}
        for budget in case.budgets:
            found = _played(case.worlds, budget * NANO)
            for name, played in found.items():
                metrics.update(_figures(f"{name}_{case.name}_at_{budget}usd", played))
            thrifty = _Thrifty(case.worlds, budget * NANO, found["default"])
            for rival in PAIRED:
                pairs[rival].append((thrifty.within(_spend(found[rival])), found[rival]))
            options.progress(f"{case.name} at ${budget}: {_line(found)}")
        for rival, columns in pairs.items():
            key = f"default_less_{rival}_{case.name}"
            differences = [[a.value - b.value for a, b in zip(*both, strict=True)] for both in columns]
            by_world = [fmean(row) for row in zip(*differences, strict=True)]
            metrics[f"{key}_value"], intervals[f"{key}_value"] = fmean(by_world), bootstrap_mean(by_world)
            metrics[f"{key}_spend_usd"] = fmean((_spend(ours) - _spend(theirs)) / NANO for ours, theirs in columns)
        identity = [anyio.run(play, world, Identity(), None) for world in case.worlds]
        metrics.update(_figures(f"identity_{case.name}", identity))
    for rival in PAIRED:
        keys = [f"default_less_{rival}_{case.name}_value" for case in cases]
        metrics[f"sets_above_{rival}"] = sum(intervals[key][0] > 0 for key in keys)
    small = 20 if options.quick else 300
    metrics.update(small_cases(small, sure=True) | small_cases(small, sure=False))
    metrics.update(gaps([world for case in cases for world in case.worlds][:400], 20 * NANO))
    metrics.update(scale(3 if options.quick else 20))
    sizes = {case.name: len(case.worlds) for case in cases}
    return BenchResult("compose", metrics, intervals, environment=environment(worlds=sizes))


def oracle(world: World) -> World:
    """Return the world as one sees it who knows what is truly needed."""
    skills = tuple(Skill(f"need {place}", weight) for place, (weight, _) in enumerate(world.needed))
    components = tuple(
        replace(c, covers=tuple(float(c.key in enough) for _, enough in world.needed))
        for c in world.catalog.components
    )
    return replace(world, catalog=Catalog(components, skills))


def _cases(options: Options) -> list[Case]:
    seeds = 2 if options.quick else options.seeds or SEEDS
    toys = [
        Case("toy_right90", _toys(seeds, 0.9, flat=False), (10, 30)),
        Case("toy_right75", _toys(seeds, 0.75, flat=False), (10, 30)),
        Case("toy_flat", _toys(seeds, 0.9, flat=True), (3, 6)),
    ]
    if options.quick:
        return toys
    raw = {}
    for name in SETS:
        tools = read(name).sample(options.repeats or QUESTIONS, SEED)
        raw[name] = gold(tools, LexicalIndex(tools.tools))
    cases = []
    for name, worlds in raw.items():
        prior = helpful_by_rank([world for other, ones in raw.items() if other != name for world in ones])
        cases.append(Case(name, [believing(world, prior) for world in worlds], GOLD_BUDGETS))
    return [*toys, *cases]


def _toys(seeds: int, right: float, *, flat: bool) -> list[World]:
    prior = helpful_by_rank([toy(SEED - 1 - seed, right, flat=flat) for seed in range(PRIOR_SEEDS)])
    return [believing(toy(SEED + seed, right, flat=flat), prior) for seed in range(seeds)]


def _played(worlds: Sequence[World], budget: int) -> dict[str, list[Played]]:
    found = {name: [anyio.run(play, w, solver, budget) for w in worlds] for name, solver in SOLVERS.items()}
    knowing = Untried(CoverageComposer())
    return found | {"oracle": [anyio.run(play, oracle(world), knowing, budget) for world in worlds]}


class _Thrifty:
    """The default on the same worlds under the same budget, the more money is worth the less it spends."""

    def __init__(self, worlds: Sequence[World], budget: int, plain: Sequence[Played]) -> None:
        self._worlds, self._budget = worlds, budget
        self._steps: list[Sequence[Played]] = [plain]

    def within(self, spend: float) -> Sequence[Played]:
        """Return the first step that spends no more than `spend` on average."""
        for step in range(len(WORTHS) + 1):
            if step == len(self._steps):
                solver = TryFirst(worth=WORTHS[step - 1])
                self._steps.append([anyio.run(play, world, solver, self._budget) for world in self._worlds])
            if _spend(self._steps[step]) <= spend:
                break
        return self._steps[step]


def _spend(played: Sequence[Played]) -> float:
    return fmean(one.spent for one in played)


def _figures(name: str, played: Sequence[Played]) -> dict[str, float]:
    return {
        f"{name}_value": fmean(one.value for one in played),
        f"{name}_spend_usd": fmean(one.spent for one in played) / NANO,
        f"{name}_trials_usd": fmean(one.on_trials for one in played) / NANO,
    }


def _line(found: Mapping[str, Sequence[Played]]) -> str:
    return ", ".join(f"{name} {fmean(one.value for one in played):.3f}" for name, played in found.items())
