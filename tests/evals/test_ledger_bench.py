"""The ledger bench: the keys that issue 3 names, measured on both sides of each comparison."""

from agentkit.evals.benches import Options, load


def test_it_measures_memory_and_both_durabilities_beside_their_floors() -> None:
    result = load("ledger")(Options(quick=True))
    metrics = dict(result.metrics)
    assert metrics["memory_pair_ratio"] > 1 and metrics["memory_inline_cpu_us"] > 0
    rates = {key for key in metrics if key.endswith("_per_s")}
    assert rates == {
        "fsync_per_s",
        *(f"commit_{durability}_per_s" for durability in ("process_crash", "power_loss")),
        *(
            f"sqlite_{durability}_{callers}_callers_pairs_per_s"
            for durability in ("process_crash", "power_loss")
            for callers in (1, 32, 128)
        ),
    }
    assert all(metrics[key] > 0 for key in rates) and result.environment["file_system"]
    low, high = result.intervals["memory_pair_ratio"]
    assert low <= metrics["memory_pair_ratio"] <= high
