"""Benches: their format, their statistics, and the overspend bench telling a sound policy from an unsound one."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.fake import Faulty
from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.evals.benches import BENCHES, BenchResult, Options, load
from agentkit.evals.benches.core_install import sizes
from agentkit.evals.benches.fanout import CAP, Bill, Child, Model, Scenario, World
from agentkit.evals.benches.holds import POLICIES, run_under
from agentkit.evals.benches.overspend import run
from agentkit.evals.benches.peers.environment import PEERS, PeerAbsent, interpreter, worker
from agentkit.evals.statistics import bootstrap_median, wilson
from agentkit.messages import user
from agentkit.types import Request


# ---------------------------------------------------------------- statistics
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(15, 40, 0.2422, 0.5297), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (1, 100, 0.0018, 0.0545)],
)
def test_wilson_has_the_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_wilson_solve_its_equation(counts: tuple[int, int]) -> None:
    successes, trials = counts
    p, low_high = successes / trials, wilson(successes, trials)
    for end in low_high:  # |p − e| = z·√(e(1 − e)/n)
        assert abs(p - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / trials), abs=1e-9)
    assert low_high[0] <= p <= low_high[1]


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, trials)


def test_the_bootstrap_of_a_median_covers_it_and_narrows_with_the_sample() -> None:
    few, many = [float(n % 11) for n in range(11)], [float(n % 11) for n in range(1100)]
    low, high = bootstrap_median(few, resamples=500)
    assert (low, high) == (2, 8)  # P(median ≤ 1) = 0.7 %, P(median ≤ 2) = 5.1 %
    narrow = bootstrap_median(many, resamples=500)
    assert narrow[0] <= 5 <= narrow[1]
    assert narrow[1] - narrow[0] < (high - low) / 2
    with pytest.raises(ValueError, match="empty"):
        bootstrap_median([])


# ---------------------------------------------------------------- format
def test_a_result_prints_the_documented_keys() -> None:
    result = BenchResult("x", {"a_ratio": 1.0}, {"a_ratio": (0.5, 2.0)}, {"peer": {"a_ratio": 2.0}})
    printed = json.loads(json.dumps(result.to_json()))
    assert list(printed) == ["bench", "metrics", "intervals", "baselines", "environment"]
    assert printed["intervals"] == {"a_ratio": [0.5, 2.0]}
    assert {"python", "platform", "cpu", "cores", "packages"} <= printed["environment"].keys()


def test_an_unknown_bench_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'overspend'"):
        load("overspent")
    assert load("overspend") is run


@pytest.mark.parametrize("name", sorted(BENCHES.keys() - {"order-desk"}))
def test_every_bench_can_be_loaded(name: str) -> None:
    assert import_module(BENCHES[name]).run is load(name)


# ---------------------------------------------------------------- overspend
@pytest.fixture(scope="module")
def overspend() -> BenchResult:
    return run(Options(quick=True))


def test_nothing_is_overspent_and_the_ledger_tells_the_bill(overspend: BenchResult) -> None:
    metrics = overspend.metrics
    assert metrics["overspend_max"] == 0
    assert metrics["ledger_below_bill_max"] == 0
    assert metrics["ledger_equal_where_usage"] == 1
    assert metrics["answered_ratio"] == 1
    assert 0.2 < metrics["completed_ratio"] < 1


def test_the_baselines_differ_as_their_policies_do(overspend: BenchResult) -> None:
    baselines = overspend.baselines
    assert baselines["check_afterwards"]["overspend_ratio_n128"] > 5
    sound = {name for name, ratios in baselines.items() if ratios["overspend_max"] == 0}
    assert {"hold_worst_case", "hold_worst_case_wait", "hold_worst_case_wait_clamp"} <= sound
    refusing, waiting = (
        baselines[name]["completed_ratio"] for name in ("hold_worst_case", "hold_worst_case_wait")
    )
    assert (
        refusing
        < waiting
        == pytest.approx(min(waiting, baselines["hold_worst_case_wait_clamp"]["completed_ratio"]))
    )
    best = max(baselines[name]["completed_ratio"] for name in sound)
    assert overspend.metrics["best_baseline_completed_ratio"] == best
    answering = baselines["hold_worst_case_wait_clamp_answer"]
    assert (answering["overspend_max"], answering["answered_ratio"]) == (0, 1)
    assert overspend.metrics["completed_ratio"] > overspend.metrics["best_answering_baseline_completed_ratio"]


def test_a_scenario_is_the_same_each_time_and_another_for_another_seed() -> None:
    def texts(seed: int) -> list[object]:
        world = Scenario(8, "tokens", "full", seed).open()
        return [(child.model.delay, child.cancel_after) for child in world.children]

    assert texts(1) == texts(1) != texts(2)


@pytest.mark.anyio
@pytest.mark.parametrize(("bill", "least", "most"), [("streamed", 10, 90), ("full", 200, 200)])
async def test_a_cancelled_child_is_billed_as_its_provider_says(bill: Bill, least: int, most: int) -> None:
    model = Model("child-0", "word " * 200, bill, delay=1e-9)
    world = World(Model("parent", "done", bill), (Child(model, "Report.", cancel_after=60),))
    request = Request(messages=(user("Report."),), max_output_tokens=CAP)
    await world.run_children(lambda child: child.model.complete(request))
    (usage,) = model.bill
    assert least <= usage.output_tokens <= most
    assert (model.records, model.completed["tokens"]) == (0, 0)
    assert world.billed == model.billed


@pytest.mark.anyio
async def test_a_reply_whose_usage_record_is_lost_is_billed_all_the_same() -> None:
    model = Model("child-0", Faulty("word " * 10, drop_usage=True), "full")
    completion = await model.complete(Request(messages=(user("Report."),), max_output_tokens=CAP))
    assert (completion.usage, model.records) == (None, 0)
    assert model.completed == model.billed != Cost()


@pytest.mark.anyio
async def test_a_reply_cut_at_the_cap_is_billed_but_not_completed() -> None:
    model = Model("child-0", "word " * 50, "full")
    await model.complete(Request(messages=(user("Report."),), max_output_tokens=20))
    assert (model.billed["output_tokens"], model.completed) == (20, Cost())


@pytest.mark.anyio
async def test_waiting_completes_more_than_refusing() -> None:
    scenario = Scenario(32, "tokens", "full", 3)
    refused, _ = await run_under(POLICIES["hold_worst_case"], scenario)
    waited, _ = await run_under(POLICIES["hold_worst_case_wait"], scenario)
    assert refused.completed["tokens"] < waited.completed["tokens"] <= scenario.limit


# ---------------------------------------------------------------- peers and sizes
def test_a_peer_that_is_not_installed_is_absent(tmp_path: Path) -> None:
    with pytest.raises(PeerAbsent, match="agno is not installed"):
        interpreter("agno", Options(peers=tmp_path, install=False))
    assert list(tmp_path.iterdir()) == []


def test_every_peer_has_a_script() -> None:
    folder = Path(import_module("agentkit.evals.benches.peers").__file__ or "").parent
    assert {name for name in PEERS if not list(folder.glob(f"*_{name}.py"))} == set()


@pytest.mark.parametrize("name", ["agentkit", "bare"])
def test_a_worker_runs_its_script_and_reports_cpu_time(name: str) -> None:
    with worker("loop", name, Options(quick=True)) as process:
        measured = process.measure(2)
        assert measured.result == "It is sunny in Paris."
        assert 0 < measured.cpu_ms < 1_000


def test_an_installation_is_weighed_without_its_installer(tmp_path: Path) -> None:
    for path, size in {
        "agentkit/a.py": 3_000_000,
        "agentkit/__pycache__/a.pyc": 2_000_000,
        "httpx/b.py": 1_000_000,
        "pip/c.py": 9_000_000,
        "pip-23.0.dist-info/RECORD": 1_000_000,
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\0" * size)
    assert sizes(tmp_path) == {
        "core_install_mb": 6,
        "core_install_no_bytecode_mb": 4,
        "core_install_with_pip_mb": 16,
        "core_install_own_mb": 5,
    }
