"""`agentkit bench routing`: the default router beside published ones on every table of real outcomes.

Each table is cross-validated by query, every call charged (`agentkit eval replay`). What one table says is
uncertain by a point, so the question is the mean over the tables: its interval takes one resample of every table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.public_data import required_folder

if TYPE_CHECKING:
    from agentkit.evals.replay.report import Area

TABLES = (
    "llmrouter",
    "mmlu_pro",
    "bbh_direct_vs_cot",
    "routellm",
    "llmdrift",
    "zeroeval",
    "routerarena",
    "farel",
)
QUICK_TABLES = ("llmdrift", "routerarena")
ROUTERS = ("default", "knn", "cluster", "mf", "routellm", "frugalgpt", "constant")
QUICK_ROUTERS = ("default", "constant")
_FOLDS, _RESAMPLES, _QUICK_RESAMPLES = 5, 1_000, 50
_SHARE = 0.3  # of the extra cost of the best single model, as a hard budget
_TOLD = ("quality_over_best_single", "brier_skill")
_ALSO = ("saved_at_equal_quality", "ece_debiased", "regret_estimator", "regret_decision")


def run(options: Options) -> BenchResult:
    """Replay every table."""
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    names = QUICK_TABLES if options.quick else TABLES
    areas: dict[str, Mapping[str, Area]] = {}
    metrics: dict[str, float] = {"tables": len(names), "budget_violations": 0}
    intervals: dict[str, tuple[float, float]] = {}
    for seed, name in enumerate(names):
        row, areas[name] = _table(name, seed, options)
        metrics["budget_violations"] += row["budget_violations"]
        for key in (*_TOLD, *_ALSO):
            if row[key] is not None:
                metrics[f"{name}_{key}"] = row[key]
        told = [key for key in _TOLD if row[key] is not None]
        intervals |= {f"{name}_{key}": (row[f"{key}_low"], row[f"{key}_high"]) for key in told}
    for router in areas[names[0]]:
        metrics |= {f"{name}_{router}_hull": areas[name][router].value for name in names}
        metrics[f"mean_{router}_hull"] = float(np.mean([areas[name][router].value for name in names]))
        if router == "default":
            continue
        for name in (*names, "mean"):
            picked = names if name == "mean" else (name,)
            pairs = [(areas[one]["default"].resampled, areas[one][router].resampled) for one in picked]
            low, high = np.quantile(np.mean([mine - theirs for mine, theirs in pairs], axis=0), [0.025, 0.975])
            intervals[f"{name}_default_over_{router}_hull"] = float(low), float(high)
    return BenchResult("routing", metrics, intervals)


def _table(name: str, seed: int, options: Options) -> tuple[Mapping[str, Any], Mapping[str, Area]]:
    """Return the default's figures on one table, and the hull areas of all routers."""
    from agentkit.evals.replay.contenders import contenders
    from agentkit.evals.replay.report import draws, hull_areas, report
    from agentkit.evals.replay.runs import Limit, replay
    from agentkit.evals.replay.tables import prepare

    folds, _ = prepare(required_folder(f"routing_{name}"), None, count=2 if options.quick else _FOLDS)
    chosen = contenders(QUICK_ROUTERS if options.quick else ROUTERS)
    arena, runs = replay(folds, chosen, limits=[Limit("30%", share=_SHARE)], progress=_say(name, options))
    resamples = _QUICK_RESAMPLES if options.quick else _RESAMPLES
    found = hull_areas(arena, runs, draws(arena.table, resamples, seed))
    return report(arena, {"default": runs["default"]}, resamples=resamples)["routers"]["default"], found


def _say(name: str, options: Options) -> Any:
    return lambda line: options.progress(f"routing: {name}, {line}")
