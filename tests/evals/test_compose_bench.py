"""The compose bench: published prices, one truth for all solvers, every solver within its budget."""

from __future__ import annotations

import json

import anyio
import pytest

from agentkit.composer import TryFirst
from agentkit.costs import NANO
from agentkit.evals.baselines.composers import Identity
from agentkit.evals.benches import Options, compose
from agentkit.evals.benches.compose_exact import scale, small_cases
from agentkit.evals.benches.compose_worlds import (
    SHORTLIST,
    Played,
    World,
    believing,
    gold,
    helpful_by_rank,
    play,
    published_hash,
    toy,
)
from agentkit.evals.benches.tool_sets import Asked, Described, ToolSet, _set
from agentkit.tools.index import LexicalIndex

FALLING = [0.5 / (place + 1) for place in range(SHORTLIST)]


@pytest.fixture(scope="module")
def world() -> World:
    return believing(toy(3), FALLING)


def test_the_published_hash() -> None:
    assert published_hash("price", "search") == pytest.approx(0.4115388820255781)


@pytest.mark.parametrize("name", compose.SOLVERS)
@pytest.mark.parametrize("budget", [3, 11])
def test_no_solver_spends_more_than_it_has(world: World, name: str, budget: int) -> None:
    played = anyio.run(play, world, compose.SOLVERS[name], budget * NANO)
    assert 0 <= played.on_trials <= played.spent <= budget * NANO
    assert 0 <= played.value <= 1


def test_who_knows_the_truth_covers_most_and_trying_comes_next() -> None:
    worlds = [believing(toy(seed), FALLING) for seed in range(6)]
    untried = compose.SOLVERS["untried"]
    knowing = [anyio.run(play, compose.oracle(one), untried, 10 * NANO) for one in worlds]
    tried = [anyio.run(play, one, TryFirst(), 10 * NANO) for one in worlds]
    looked_up = [anyio.run(play, one, compose.SOLVERS["retrieval"], 10 * NANO) for one in worlds]
    assert all(a.value >= b.value for a, b in zip(knowing, tried, strict=True))
    assert sum(one.value for one in tried) > 1.5 * sum(one.value for one in looked_up)
    assert tried[0].trials > 0 == looked_up[0].trials


def test_identity_owns_all_that_was_found(world: World) -> None:
    played = anyio.run(play, world, Identity(), None)
    assert played.spent == sum(component.cost["usd"] for component in world.catalog.components)


def test_a_gold_world_shows_the_question_and_keeps_the_answer() -> None:
    tools = _set(
        "mini",
        [
            Described("weather", "forecast of rain", {}),
            Described("stocks", "share prices", {}),
            Described("rain", "forecast of rain sums", {}),
        ],
        [("Give me the forecast of rain. What are the share prices now?", ["weather", "stocks"])],
    )
    (one,) = gold(tools, LexicalIndex(tools.tools))
    assert [skill.name for skill in one.catalog.skills] == [
        "0: Give me the forecast of rain.",
        "1: What are the share prices now?",
    ]
    assert one.helps == {("tool:weather_0", 0), ("tool:stocks_1", 1)}
    assert [sorted(one_of) for _, one_of in one.needed] == [["tool:weather_0"], ["tool:stocks_1"]]
    assert one.catalog.components[0].cost["usd"] in {3 * NANO, 5 * NANO, 8 * NANO}
    rates = helpful_by_rank([one])
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[1]


def test_a_question_without_gold_among_the_tools_is_left_out() -> None:
    assert _set("mini", [Described("a", "b", {})], [("what?", ["unknown"])]).asked == ()
    assert ToolSet("x", (), (Asked("q", frozenset()),)).sample(5, 0).asked == (Asked("q", frozenset()),)


def test_at_equal_spend_the_default_goes_on_until_it_spends_no_more(world: World) -> None:
    plain = [Played(1.0, 99 * NANO, 0, 0)]
    thrifty = compose._Thrifty([world], 11 * NANO, plain)
    assert thrifty.within(99 * NANO) is plain
    assert thrifty.within(11 * NANO)[0].spent <= 11 * NANO
    assert thrifty.within(0)[0].spent == 0


def test_the_small_cases_and_the_large_catalog() -> None:
    assert small_cases(15, sure=True)["exact_certain_equal_to_brute_force"] == 15
    assert small_cases(15, sure=False)["exact_noisy_equal_to_brute_force"] == 15
    large = scale(1)
    assert large["pruned_equals_whole"] == 1
    assert large["pruned_count"] < 64


def test_a_small_run_prints_every_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "SOLVERS", {name: compose.SOLVERS[name] for name in ("default", *compose.PAIRED)})
    cases = [compose.Case("toy_flat", [world], (3,))]
    monkeypatch.setattr(compose, "_cases", lambda options: cases)
    monkeypatch.setattr(compose, "WORTHS", (0.6, 5.0))
    lines: list[str] = []
    result = compose.run(Options(quick=True, progress=lines.append))
    printed = json.loads(json.dumps(result.to_json()))
    assert {"default_toy_flat_at_3usd_value", "zcl_toy_flat_at_3usd_spend_usd", "sets_above_zcl"} <= printed[
        "metrics"
    ].keys()
    assert {"solve_ms", "numpy_pass_ms", "noisy_gap_mean", "identity_toy_flat_spend_usd"} <= printed[
        "metrics"
    ].keys()
    assert len(printed["intervals"]) == len(compose.PAIRED)
    assert all(result.metrics[key.replace("_value", "_spend_usd")] <= 0 for key in printed["intervals"])
    assert len(lines) == 1
