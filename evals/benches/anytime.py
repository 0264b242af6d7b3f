"""`agentkit bench anytime`: what an answer is worth at every budget, beside other ways to end at a limit.

Each question runs once without a limit, which is its need, then under budgets from the published minimum up:
agentkit through the public entry point, the others as `endings.py` says. A run's quality is held against what was
really spent: with Q(x) the quality of the largest budget whose spend was within x, the area of a question is

    1/m · ∫₀ᵐ Q(x) dx,   m the largest budget

in 0..1. `by_budget` puts max(spend, budget) in the place of the spend. Intervals are of the mean difference over
questions, which are paired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import anyio

from agentkit.evals.benches.anytime_cases import PARTS, Case, desk_cases, recorded_cases
from agentkit.evals.benches.anytime_gsm8k import folder, problems
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.endings import ENDINGS, Ended, endings
from agentkit.evals.statistics import Interval, bootstrap_mean
from agentkit.evals.suites.order_desk.database import Desk

QUESTIONS, LEVELS = 120, 12
QUICK_QUESTIONS, QUICK_LEVELS = 4, 5
DESK_SEED = 700_001
OURS = "agentkit"


@dataclass(frozen=True, slots=True)
class Point:
    """One run under one budget, both in units of the resource, and what its text was worth."""

    budget: int
    spent: int
    right: float
    stated: float
    answered: bool


Curve = tuple[Point, ...]
"""The runs of one question by rising budget."""


@dataclass(slots=True)
class _Tally:
    """Collects the keys of the result, ours and those of the other endings."""

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    baselines: dict[str, dict[str, float]]

    def add(self, part: str, cases: Sequence[Case], curves: Mapping[str, Sequence[Curve]]) -> None:
        """Add what was measured on `part`; `curves` are by system, in the order of `cases`."""
        areas = {name: _areas(cases, found) for name, found in curves.items()}
        for name, found in curves.items():
            keys = self.metrics if name == OURS else self.baselines.setdefault(name, {})
            keys |= {f"{part}_{key}": value for key, value in _summary(found).items()}
            keys |= {f"{part}_{key}": fmean(values) for key, values in areas[name].items()}
        for ending in ENDINGS:
            for key, mine in areas[OURS].items():
                differences = [a - b for a, b in zip(mine, areas[ending][key], strict=True)]
                self.metrics[f"{part}_{key}_over_{ending}"] = fmean(differences)
                self.intervals[f"{part}_{key}_over_{ending}"] = bootstrap_mean(differences)

    def overall(self) -> dict[str, float]:
        """Return the keys of all parts together."""
        answered = [value for key, value in self.metrics.items() if key.endswith("_answered_ratio")]
        overspent = [value for key, value in self.metrics.items() if key.endswith("_overspend_max")]
        return {"answered_ratio": min(answered), "overspend_max": max(overspent)}


def run(options: Options) -> BenchResult:
    """Measure the order desk with both embedded models, and the recorded answers where they are."""
    recordings = folder()
    with TemporaryDirectory() as nowhere, chdir(nowhere):  # the settings of a project would be obeyed
        return anyio.run(_run, options, recordings)


async def _run(options: Options, recordings: Path | None) -> BenchResult:
    tally = _Tally({}, {}, {})
    count = QUICK_QUESTIONS if options.quick else options.repeats
    desk = Desk.create(DESK_SEED, "test", size=120)
    for part in PARTS:
        cases = await desk_cases(desk, part, count or QUESTIONS)
        tally.add(part, cases, await _measure(cases, options, part))
    desk.close()
    skipped: dict[str, str] = {}
    if recordings is None:
        skipped["gsm8k"] = "no recordings; set AGENTKIT_DATA to the folder that holds anytime_gsm8k"
    else:
        cases = recorded_cases(problems(recordings)[:count])
        tally.add("gsm8k", cases, await _measure(cases, options, "gsm8k"))
    return BenchResult(
        "anytime", tally.overall() | tally.metrics, tally.intervals, tally.baselines, environment(skipped=skipped)
    )


# ---------------------------------------------------------------- runs
async def _measure(cases: Sequence[Case], options: Options, what: str) -> Mapping[str, Sequence[Curve]]:
    levels = QUICK_LEVELS if options.quick else LEVELS
    curves: dict[str, list[Curve]] = defaultdict(list)
    for place, case in enumerate(cases, start=1):
        points: dict[str, list[Point]] = defaultdict(list)
        for level in range(levels):
            budget = case.least + (case.most - case.least) * level // (levels - 1)
            for name, ended in (await _run_all(case, budget)).items():
                right, stated = case.grade(ended.text)
                points[name].append(Point(budget, ended.spent, right, stated, bool(ended.text.strip())))
        for name, found in points.items():
            curves[name].append(tuple(found))
        if place % 100 == 0:
            options.progress(f"{what}: {place} of {len(cases)} questions")
    return curves


async def _run_all(case: Case, budget: int) -> dict[str, Ended]:
    answer = await case.agent.run(case.task, budget=case.budget(budget))
    ours = Ended("" if answer.status == "infeasible" else answer.text, answer.spent[case.resource])
    return {OURS: ours, **await endings(case.agent, case.task, case.resource, budget, case.cap)}


# ---------------------------------------------------------------- areas
def area(steps: Sequence[tuple[int, float]], most: int) -> float:
    """Return the mean quality over 0..most; `steps` are (spend, quality) of runs by rising budget."""
    total, reached = 0.0, most
    for spent, quality in reversed(steps):  # a larger budget hides what smaller ones spent above it
        if spent < reached:
            total += quality * (reached - spent)
            reached = spent
    return total / most


def _areas(cases: Sequence[Case], curves: Sequence[Curve]) -> dict[str, list[float]]:
    """Return the areas of each question by quality and by what the quality is held against."""
    areas: dict[str, list[float]] = defaultdict(list)
    for case, curve in zip(cases, curves, strict=True):
        paid = [max(point.spent, point.budget) for point in curve]
        for quality in ("right", "stated"):
            values = [getattr(point, quality) for point in curve]
            spent = [point.spent for point in curve]
            areas[f"{quality}_area"].append(area(list(zip(spent, values, strict=True)), case.most))
            areas[f"{quality}_area_by_budget"].append(area(list(zip(paid, values, strict=True)), case.most))
    return areas


def _summary(curves: Sequence[Curve]) -> dict[str, float]:
    """Return how often there was an answer, the worst overspend over its budget, and quality by budget level."""
    points = [point for curve in curves for point in curve]
    by_level = zip(*curves, strict=True)
    return {
        "runs": len(points),
        "answered_ratio": fmean(point.answered for point in points),
        "overspend_max": max(max(0, point.spent - point.budget) / point.budget for point in points),
        "overspent_runs_ratio": fmean(point.spent > point.budget for point in points),
        **{f"right_ratio_level_{n}": fmean(p.right for p in level) for n, level in enumerate(by_level)},
    }
