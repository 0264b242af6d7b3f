"""`agentkit bench rules`: decision rules that learn while they route, beside what they are meant to beat.

- `rules_latency`: seconds until a query is answered, when calls are given up;
- `rules_newcomers`: quality while a model is tried that is known by its card alone.

All gains are paired: the same queries, latencies and outcomes for every rule.
"""

from __future__ import annotations

from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.benches.rules_latency import latencies


def run(options: Options) -> BenchResult:
    """Run both parts."""
    try:
        from agentkit.evals.benches.rules_newcomers import newcomers
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for part in (latencies(options), newcomers(options)):
        metrics |= part[0]
        intervals |= part[1]
    return BenchResult("rules", metrics, intervals)
