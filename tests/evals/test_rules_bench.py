"""The bench of the rules that learn: its keys, and what must hold at any size."""

import pytest

from agentkit.evals.benches import Options, load
from agentkit.evals.benches.rules_latency import latencies
from agentkit.evals.public_data import data_folder


def test_latencies() -> None:
    metrics, intervals = latencies(Options(quick=True, seeds=6))
    assert metrics["made_dropped_s"] > metrics["made_censored_s"] < metrics["made_even_s"] / 2
    assert {f"made_saved_over_{rule}_s" for rule in ("naive", "dropped", "fixed", "even")} <= set(intervals)


@pytest.mark.skipif(data_folder("routing_llmrouter") is None, reason="no recorded outcomes; set AGENTKIT_DATA")
def test_the_balance_holds_on_recorded_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.evals.benches.rules_newcomers.TABLES", ("bbh_direct_vs_cot",))
    metrics = load("rules")(Options(quick=True, seeds=1)).metrics
    assert metrics["bbh_direct_vs_cot_least_balance"] >= 0 < metrics["bbh_direct_vs_cot_trials"]
