"""The bench over all tables adds up what each of them says."""

import pytest

from agentkit.evals.benches import Options, load
from agentkit.evals.public_data import data_folder


@pytest.mark.skipif(data_folder("routing_llmdrift") is None, reason="no recorded outcomes; set AGENTKIT_DATA")
def test_the_bench_of_routing() -> None:
    found = load("routing")(Options(quick=True)).to_json()
    metrics, tables = found["metrics"], ("llmdrift", "routerarena")
    assert metrics["tables"] == 2 and metrics["budget_violations"] == 0
    for router in ("default", "constant", "zero"):
        hulls = [metrics[f"{table}_{router}_hull"] for table in tables]
        assert metrics[f"mean_{router}_hull"] == pytest.approx(sum(hulls) / 2)
    low, high = found["intervals"]["mean_default_over_zero_hull"]
    widest = max(
        high - low
        for high, low in (found["intervals"][f"{table}_default_over_zero_hull"][::-1] for table in tables)
    )
    assert low <= metrics["mean_default_hull"] - metrics["mean_zero_hull"] <= high
    assert high - low < widest  # two tables together are more certain than the less certain one
