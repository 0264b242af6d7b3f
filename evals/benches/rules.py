"""`agentkit bench rules`: decision rules beside what they are meant to beat, where no replay for money shows it.

- `rules_latency`: seconds until a query is answered, when calls are given up;
- `rules_seconds`: quality for time, with a price of seconds;
- `rules_tiers`: solved questions for spend, with the complexity labels of EllieSQL;
- `rules_newcomers`: quality while a model is tried that is known by its card alone.

All gains are paired: the same queries, latencies and outcomes for every rule.
"""

from __future__ import annotations

from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.benches.rules_latency import latencies


def run(options: Options) -> BenchResult:
    """Run all parts."""
    try:
        from agentkit.evals.benches.rules_newcomers import newcomers
        from agentkit.evals.benches.rules_seconds import quality_for_seconds
        from agentkit.evals.benches.rules_tiers import tiers_on_labels
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for part in (latencies, quality_for_seconds, tiers_on_labels, newcomers):
        found = part(options)
        metrics |= found[0]
        intervals |= found[1]
    return BenchResult("rules", metrics, intervals)
