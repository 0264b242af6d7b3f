"""The resilience bench: each policy is better than none at what it is for, and the ledger misses nothing."""

from __future__ import annotations

import anyio
import pytest

from agentkit.evals.benches import BenchResult, Options
from agentkit.evals.benches.resilience import SCENARIOS, run
from agentkit.evals.benches.virtual_time import run_virtually

SHOWN = (*SCENARIOS, "cached_prefix")


@pytest.fixture(scope="module")
def result() -> BenchResult:
    return run(Options(quick=True, repeats=1))


def test_it_shows_success_cost_and_p99_with_and_without_each_policy(result: BenchResult) -> None:
    keys = {f"{name}_{what}" for name in SHOWN for what in ("success_ratio", "cost_usd", "p99_s", "answer_p99_s")}
    assert result.metrics.keys() == keys | {"unbilled_ratio"}
    assert result.baselines["without"].keys() == keys
    assert all(low <= result.metrics[key] <= high for key, (low, high) in result.intervals.items())


def test_the_ledger_misses_nothing(result: BenchResult) -> None:
    assert result.metrics["unbilled_ratio"] == 0


@pytest.mark.parametrize("key", ["rate_limit_success_ratio", "concurrency_success_ratio"])
def test_waiting_makes_runs_succeed(result: BenchResult, key: str) -> None:
    assert result.metrics[key] > result.baselines["without"][key]


@pytest.mark.parametrize(
    "key",
    [
        "breaker_cost_usd",
        "fallback_cost_usd",
        "cached_prefix_cost_usd",
        "capacity_p99_s",
        "rate_limit_answer_p99_s",
        "concurrency_answer_p99_s",
    ],
)
def test_what_a_policy_is_for_gets_less(result: BenchResult, key: str) -> None:
    assert result.metrics[key] < result.baselines["without"][key]


def test_virtual_time_is_the_same_every_time() -> None:
    async def sum_of_times() -> float:
        start = anyio.current_time()
        for pause in range(1_000):
            await anyio.sleep(pause)
        return anyio.current_time() - start

    assert run_virtually(sum_of_times) == 999 * 500


def test_a_deadlock_in_virtual_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_for_nothing() -> None:
        await anyio.Event().wait()

    monkeypatch.setattr("agentkit.evals.benches.virtual_time._THREADS", 0.01)
    with pytest.raises(RuntimeError, match="waits for something but time"):
        run_virtually(wait_for_nothing)
