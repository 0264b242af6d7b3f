"""The bench of budgets over a stream: no violations, and as near the knapsack as it says."""

import pytest

from agentkit.evals.benches import Options, load
from agentkit.evals.public_data import data_folder


@pytest.mark.skipif(data_folder("routing_llmdrift") is None, reason="no recorded outcomes; set AGENTKIT_DATA")
def test_the_bench_of_a_stream() -> None:
    found = load("stream-budget")(Options(quick=True))
    assert found.metrics["violations"] == 0 < found.metrics["streams"]
    for key, (low, high) in found.intervals.items():
        assert low <= found.metrics[key] <= high
    priced, greedy = (found.metrics[f"llmdrift_30%_{rule}_shuffled_over_knapsack"] for rule in ("known", "greedy"))
    assert priced > -2.5 and priced - greedy == pytest.approx(
        found.metrics["llmdrift_30%_known_shuffled_over_greedy"]
    )
    assert priced > greedy
