"""The router bench measures what it says."""

from agentkit.evals.benches import Options, load


def test_the_bench_of_the_router() -> None:
    found = load("router")(Options(quick=True, repeats=5)).to_json()
    assert set(found["metrics"]) == {
        "decision_us", "decision_matvec_ratio", "matvec_us", "fit_s", "fit_queries", "models",
    }  # fmt: skip
    assert found["metrics"]["models"] == 30
    assert found["metrics"]["decision_us"] > found["metrics"]["matvec_us"] > 0
    assert set(found["intervals"]) == {"decision_us", "decision_matvec_ratio"}
