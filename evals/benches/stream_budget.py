"""`agentkit bench stream-budget`: one hard budget over a stream of recorded queries, against the offline knapsack.

Each table is cross-validated by query. A fold's budget is what the cheapest model costs on training queries and a
share of the extra cost of the best one. The default router of a stream (`Artefact.stream`, cascade included where
it was kept) is replayed in natural, reversed and shuffled order, with the number of queries known and not, beside

- `greedy`: the best model while the money lasts, on the estimates for one call and with the same reserve;
- `told`: the same router that knows what is predicted for these very queries, and not their order. What it falls
  short of the knapsack by is what nobody can learn of a stream beforehand;
- `exact`: the same router where each hold is what its call will cost, and not what its dearest reply would.

The knapsack (`replay/knapsack.py`) has the predictions that the router decides by before any reply, the same
budget, one call a query, hindsight of all costs, and no holds. Gaps are points of score, means over the shuffles;
their intervals are over the queries, each with the mean of its shuffles. A violation is a stream that spent more
than its budget.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.benches.routing import QUICK_TABLES, TABLES
from agentkit.evals.public_data import required_folder

if TYPE_CHECKING:
    from agentkit.evals.benches.stream_runs import Streams

SHARES = (0.1, 0.3, 0.5)
_PLAYED, _MOST_SEEDS, _LEAST_SEEDS = 8_000, 20, 2  # queries by which a table's number of shuffles is chosen
_FOLDS, _RESAMPLES = 5, 1_000


def run(options: Options) -> BenchResult:
    """Replay every table."""
    try:
        import agentkit.evals.benches.stream_runs  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    metrics: dict[str, float] = {"violations": 0, "streams": 0}
    intervals: dict[str, tuple[float, float]] = {}
    for name in QUICK_TABLES if options.quick else TABLES:
        found = _table(name, options)
        metrics["violations"] += found.violations
        metrics["streams"] += found.streams
        more = _figures(found)
        metrics |= {f"{name}_{key}": value for key, value in more[0].items()}
        intervals |= {f"{name}_{key}": value for key, value in more[1].items()}
    return BenchResult("stream-budget", metrics, intervals)


def _table(name: str, options: Options) -> Streams:
    from agentkit.evals.benches.stream_runs import Streams
    from agentkit.evals.replay.tables import prepare

    folds, _ = prepare(required_folder(f"routing_{name}"), None, count=2 if options.quick else _FOLDS)
    queries = sum(len(fold.test.items) for fold in folds)
    usual = min(max(_PLAYED // queries, _LEAST_SEEDS), _MOST_SEEDS)
    found = Streams(options.seeds or (1 if options.quick else usual))
    for number, fold in enumerate(folds, 1):
        options.progress(f"stream-budget: {name}, fold {number} of {len(folds)}, {found.seeds} shuffles")
        found.play(fold, queries, SHARES[1:2] if options.quick else SHARES)
    return found


def _figures(found: Streams) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return what the streams of a table came to, and the intervals of the differences."""
    import numpy as np

    metrics: dict[str, float] = {"seeds": found.seeds}
    intervals = {}
    scores: Any = {key: np.concatenate(parts) for key, parts in found.scores.items()}
    pairs: dict[str, Any] = defaultdict(dict)
    for share, rule, order in scores:
        if rule == "knapsack":
            metrics[f"{share:.0%}_knapsack"] = float(scores[share, rule, order].mean())
            continue
        label = f"{share:.0%}_{rule}_{order}"
        metrics[f"{label}_used"] = float(np.mean(found.used[share, rule, order]))
        metrics[f"{label}_unanswered"] = float(np.sum(found.unanswered[share, rule, order]))
        pairs[f"{label}_over_knapsack"] = scores[share, rule, order] - scores[share, "knapsack", ""]
        if rule in ("known", "unknown"):
            pairs[f"{label}_over_greedy"] = scores[share, rule, order] - scores[share, "greedy", order]
    for key, difference in pairs.items():
        metrics[key] = 100 * float(difference.mean())
        intervals[key] = _interval(100 * difference)
    return metrics, intervals


def _interval(differences: Any) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over queries."""
    import numpy as np

    draw = np.random.default_rng(0)
    size = len(differences)
    means = [differences[draw.integers(0, size, size)].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
