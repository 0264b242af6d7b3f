"""From what the routers did to figures with intervals, in the shape that `agentkit eval replay --json` prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from agentkit.evals.replay.metrics import aiq, arena_score, cost_of_pass, elasticity, knapsack, strong_share
from agentkit.evals.replay.runs import Arena, Run
from agentkit.routers.estimators import OutcomeTable, Trail, upper_hull
from agentkit.routers.estimators.hull import height, spend_for
from agentkit.routers.estimators.reliability import reliability
from agentkit.routers.estimators.table import Floats

RESAMPLES = 1_000
Figures = dict[str, Any]


class Area(NamedTuple):
    """A hull area, and what it is in each resample."""

    value: float
    resampled: Floats


def report(
    arena: Arena,
    runs: Mapping[str, Run],
    *,
    resamples: int = RESAMPLES,
    environment: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Figures:
    """Measure every run; intervals are 95 %, from a bootstrap over queries that all routers share."""
    counts = draws(arena.table, resamples)
    areas = hull_areas(arena, runs, counts, progress=progress)
    high = max(float(run.trail.cost.mean(axis=1).max()) for run in runs.values())
    span = arena.frontier.low, max(high, arena.frontier.high)
    routers = {name: _router(arena, run, counts, areas, name, span) for name, run in runs.items()}
    return {
        "routers": {**routers, "zero": _zero(arena, areas["zero"])},
        "singles": _singles(arena.table, counts),
        "oracle": _oracle(arena),
        "environment": {
            "table": arena.table.name,
            "queries": len(arena.table.items),
            "models": len(arena.table.models),
            "best_single": list(arena.best_models),
            "resamples": resamples,
            **(environment or {}),
        },
    }


def hull_areas(
    arena: Arena,
    runs: Mapping[str, Run],
    counts: Floats,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Area]:
    """Return the hull area of every run and of `zero`, as replayed and in each resample of `counts`."""
    areas = {}
    for name, trail in (("zero", _singles_trail(arena)), *((name, run.trail) for name, run in runs.items())):
        progress(f"resampling {name}")
        areas[name] = Area(arena.frontier.area(trail), arena.frontier.areas(trail, counts))
    return areas


def _singles_trail(arena: Arena) -> Trail:
    return Trail(np.nan_to_num(arena.table.cost).T, np.nan_to_num(arena.table.score).T)


def draws(table: OutcomeTable, resamples: int, seed: int = 0) -> Floats:
    """Return how often each query is drawn, (resamples, queries); queries of the same text are drawn together."""
    places = {text: place for place, text in enumerate(dict.fromkeys(table.texts))}
    groups = np.random.default_rng(seed).multinomial(len(places), np.full(len(places), 1 / len(places)), resamples)
    counts: Floats = groups[:, [places[text] for text in table.texts]].astype(np.float64)
    return counts


def _router(
    arena: Arena, run: Run, counts: Floats, areas: Mapping[str, Area], name: str, span: tuple[float, float]
) -> Figures:
    frontier, points = arena.frontier, run.trail.points
    hull = upper_hull(points)
    quality, cost = float(run.score.mean()), float(run.cost.mean())
    best_quality, best_cost = float(arena.best_score.mean()), float(arena.best_cost.mean())
    needed = spend_for(hull, best_quality)
    cheapest = int(np.nan_to_num(arena.table.cost).mean(axis=0).argmin())
    base = float(np.nan_to_num(arena.table.score[:, cheapest]).mean())
    token = elasticity(quality, cost, base, frontier.low)
    paper, code = aiq(points, *span)
    return {
        "hull": areas[name].value,
        **_interval("hull", areas[name].resampled),
        **_against(name, areas),
        "quality": quality,
        **_interval("quality", _means(run.score, counts)),
        "cost_usd": cost,
        "calls": float(run.calls.mean()),
        "quality_over_best_single": quality - best_quality,
        **_interval("quality_over_best_single", _means(run.score - arena.best_score, counts)),
        "saved_at_equal_quality": None if needed is None or not best_cost else 1 - needed / best_cost,
        "aiq_paper": paper,
        "aiq_code": code,
        "arena_score": arena_score(quality, cost),
        "cost_of_pass_usd": _finite(cost_of_pass(cost, quality)),
        "tep": token.value,
        "tep_quadrant": token.quadrant,
        **_strong(arena, run),
        **_regret(arena, run, quality, cost),
        **_reliability(arena, run),
        **_budgeted(run),
        "points": [{"cost_usd": c, "quality": q} for c, q in points],
    }


def _against(name: str, areas: Mapping[str, Area]) -> Figures:
    """Compare hull areas in pairs, this router minus each of the others."""
    found: Figures = {}
    for other, theirs in areas.items():
        if other != name:
            found[f"hull_over_{other}"] = areas[name].value - theirs.value
            found |= _interval(f"hull_over_{other}", areas[name].resampled - theirs.resampled)
    return found


def _strong(arena: Arena, run: Run) -> Figures:
    """Measure by the share of calls to the strong model, where there are two."""
    table = arena.table
    if len(table.models) != 2:
        return {}
    scores = np.nan_to_num(table.score).mean(axis=0)
    strong = int(scores.argmax())
    if scores[0] == scores[1]:
        return {}
    found = strong_share(
        run.mix[:, strong].tolist(),
        run.trail.score.mean(axis=1).tolist(),
        float(scores.min()),
        float(scores.max()),
    )
    return {"apgr": found.apgr, **{f"cpt_{goal}": share for goal, share in found.cpt.items()}}


def _regret(arena: Arena, run: Run, quality: float, cost: float) -> Figures:
    """Split what is missing to hindsight, at the router's own spend, into estimates and decisions."""
    table = arena.table
    possible = knapsack(table.score, table.cost, cost * len(table.items)) / len(table.items)
    if run.predicted is None:
        return {"regret": possible - quality}
    own = height(upper_hull(arena.frontier.trail(run.predicted, run.expected).points), cost)
    return {"regret": possible - quality, "regret_estimator": possible - own, "regret_decision": own - quality}


def _reliability(arena: Arena, run: Run) -> Figures:
    if run.predicted is None or run.base is None:
        return {}
    found = reliability(run.predicted, run.base, arena.table.score)
    return {
        "ece": found.ece,
        "ece_debiased": found.ece_debiased,
        "brier": found.brier,
        "brier_skill": found.skill,
        "brier_skill_low": found.skill_low,
        "brier_skill_high": found.skill_high,
    }


def _budgeted(run: Run) -> Figures:
    if not run.budgeted:
        return {}
    rows = [
        {
            "budget": name,
            "order": order,
            "budget_usd": done.budget,
            "spent_usd": done.spent,
            "quality": done.quality,
            "answered": done.answered,
            "offline_quality": done.offline,
            "violations": done.violations,
        }
        for (name, order), done in run.budgeted.items()
    ]
    return {"budgets": rows, "budget_violations": sum(done.violations for done in run.budgeted.values())}


def _zero(arena: Arena, area: Area) -> Figures:
    """Describe the upper hull of the single models; its quality is that at the spend of the best one."""
    hull = upper_hull(_singles_trail(arena).points)
    spend = float(arena.best_cost.mean())
    return {
        "hull": area.value,
        **_interval("hull", area.resampled),
        "quality": height(hull, spend),
        "cost_usd": spend,
        "points": [{"cost_usd": cost, "quality": quality} for cost, quality in hull[1:]],
    }


def _singles(table: OutcomeTable, counts: Floats) -> Figures:
    """Describe every model on its own and, as `random`, an even draw among them; an unanswered query scores 0."""
    score, cost = np.nan_to_num(table.score), np.nan_to_num(table.cost)
    columns = {model: (score[:, m], cost[:, m]) for m, model in enumerate(table.models)}
    columns["random"] = score.mean(axis=1), cost.mean(axis=1)
    return {
        name: {
            "quality": float(scores.mean()),
            **_interval("quality", _means(scores, counts)),
            "cost_usd": float(costs.mean()),
            "arena_score": arena_score(float(scores.mean()), float(costs.mean())),
            "cost_of_pass_usd": _finite(cost_of_pass(float(costs.mean()), float(scores.mean()))),
        }
        for name, (scores, costs) in columns.items()
    }


def _oracle(arena: Arena) -> Figures:
    """Describe the choice that hindsight makes: the best score, at the least cost among ties."""
    table = arena.table
    score, cost = np.where(table.known, table.score, -1.0), np.where(table.known, table.cost, np.inf)
    best = score.max(axis=1, keepdims=True)
    spend = np.where(score == best, cost, np.inf).min(axis=1)
    budgets = np.linspace(arena.frontier.low, arena.frontier.high, 9)
    curve = [knapsack(table.score, table.cost, float(budget) * len(score)) / len(score) for budget in budgets]
    return {
        "quality": float(np.maximum(best, 0.0).mean()),
        "cost_usd": float(np.where(np.isfinite(spend), spend, 0.0).mean()),
        "points": [{"cost_usd": float(c), "quality": q} for c, q in zip(budgets, curve, strict=True)],
    }


def _means(values: Floats, counts: Floats) -> Floats:
    means: Floats = counts @ values / counts.sum(axis=1)
    return means


def _finite(value: float) -> float | None:
    """Return None for infinity, which JSON has not."""
    return value if math.isfinite(value) else None


def _interval(name: str, sample: Floats) -> Figures:
    low, high = np.quantile(sample, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
