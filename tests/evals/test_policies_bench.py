"""The policies bench: its promises under every policy, what a policy decides, and the keys that issue 3 names."""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.budgets.length import OutputLengths
from agentkit.errors import ConfigError
from agentkit.evals.benches import Options, load
from agentkit.evals.benches.policies_rules import CAP, KIND, LEAST, POLICIES, REFUSE, WAIT, Ask, Decision, Room
from agentkit.evals.benches.policies_traces import TRACES, Recorded, folder, recorded_calls
from agentkit.evals.benches.policies_world import PAST, Bill, Call, Outcome, Scenario, play

OVERSPENDING = {"check_afterwards", "hold_mean"}
SOUND = sorted(POLICIES.keys() - OVERSPENDING)


def trace(seed: int = 1, calls: int = 4 * PAST) -> tuple[Recorded, ...]:
    """Calls at random times with prompts and replies of random length."""
    draw, arrival, made = Random(seed), 0.0, []
    for _ in range(calls):
        arrival += draw.expovariate(5)
        reply = max(1, min(round(draw.lognormvariate(4.5, 0.8)), CAP))
        made.append(Recorded(arrival, draw.randint(1, 3_000), reply))
    return tuple(made)


TRACE = trace()


def lengths() -> OutputLengths:
    """What is known when all earlier replies had 100 tokens."""
    known = OutputLengths(0.995)
    for _ in range(PAST):
        known.observe(KIND, 100, cut=False)
    return known


LIKELY = lengths().likely(KIND, CAP)
"""The 100 tokens and a margin."""


def scenario(*calls: Call, callers: int = 1, bill: Bill = "full", limit: int = 10_000) -> Scenario:
    """These calls, in a world whose earlier replies all had 100 tokens."""
    return Scenario(callers, bill, limit, [Recorded(0.0, 10, 100)] * PAST, calls)


def call(prompt: int, reply: int, breaks_at: int | None = None) -> Call:
    return Call(Recorded(0.0, prompt, reply), breaks_at)


async def played(world: Scenario, name: str = "agentkit") -> Outcome:
    """Play the scenario, and check what holds for every policy."""
    outcome = await play(world, POLICIES[name])
    assert outcome.completed + outcome.truncated + outcome.broken + outcome.refused == len(world.calls)
    if name not in OVERSPENDING:
        assert outcome.billed <= outcome.charged <= world.limit and not outcome.overruns
    return outcome


# ---------------------------------------------------------------- every policy
@pytest.mark.anyio
@pytest.mark.parametrize("bill", ["streamed", "full"])
@pytest.mark.parametrize("callers", [1, 32])
@pytest.mark.parametrize("name", POLICIES)
async def test_every_call_has_one_end_and_sound_policies_never_overspend(
    name: str, callers: int, bill: Bill
) -> None:
    world = Scenario.draw(TRACE, callers, bill, seed=3)
    outcome = await played(world, name)
    assert 1 <= outcome.in_flight <= callers
    assert 0 < outcome.completed_tokens <= outcome.billed
    assert outcome.charged <= world.limit or name in OVERSPENDING


@pytest.mark.anyio
async def test_policies_that_hold_less_than_is_billed_overspend() -> None:
    world = Scenario.draw(TRACE, 32, "full", seed=3)
    for name in OVERSPENDING:
        assert (await played(world, name)).billed > world.limit


@pytest.mark.anyio
async def test_a_scenario_is_the_same_for_every_policy_and_every_run() -> None:
    assert Scenario.draw(TRACE, 8, "full", 5) == Scenario.draw(TRACE, 8, "full", 5)
    assert Scenario.draw(TRACE, 8, "full", 5) != Scenario.draw(TRACE, 8, "full", 6)
    world = Scenario.draw(TRACE, 8, "full", 5)
    assert await played(world) == await played(world)


@pytest.mark.anyio
@pytest.mark.parametrize("callers", [1, 8, 32])
async def test_metered_calls_fare_as_under_the_worst_case(callers: int) -> None:
    world = Scenario.draw(TRACE, callers, "streamed", seed=4)
    assert await played(world) == await played(world, "hold_worst_case_clamp")


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.builds(call, st.integers(0, 3_000), st.integers(1, CAP), st.none() | st.integers(0, CAP)), max_size=12
    ),
    callers=st.integers(1, 8),
    bill=st.sampled_from(["streamed", "full"]),
    limit=st.integers(0, 20_000),
    name=st.sampled_from(SOUND),
)
@pytest.mark.anyio
async def test_no_calls_and_no_limit_lead_to_overspend(
    calls: list[Call], callers: int, bill: Bill, limit: int, name: str
) -> None:
    await played(scenario(*calls, callers=callers, bill=bill, limit=limit), name)


# ---------------------------------------------------------------- in small
@pytest.mark.anyio
async def test_a_cut_reply_goes_on_and_its_prompt_is_billed_again() -> None:
    outcome = await played(scenario(call(1_000, 500)), "cap_p95")
    assert (outcome.completed, outcome.further) == (1, 1)
    assert outcome.billed == (1_000 + LIKELY) + (1_000 + 500)  # the second piece reads what the first one made
    assert outcome.completed_tokens == 1_500
    assert outcome.makespan == pytest.approx((2_000 + LIKELY) / 8_000 + 500 / 80)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "bill", "billed", "charged"),
    [
        ("agentkit", "streamed", 1_040, 1_040),
        ("agentkit", "full", 1_100, 1_000 + CAP),
        ("cap_p95", "full", 1_100, 1_000 + LIKELY),
        ("check_afterwards", "full", 1_100, 1_100),
    ],
)
async def test_what_a_broken_call_is_billed_and_charged(name: str, bill: Bill, billed: int, charged: int) -> None:
    outcome = await played(scenario(call(1_000, 100, breaks_at=40), bill=bill), name)
    assert (outcome.broken, outcome.billed, outcome.charged) == (1, billed, charged)


@pytest.mark.anyio
async def test_callers_get_by_with_likely_caps_where_not_all_have_room_for_the_whole_one() -> None:
    calls = [call(1_000, 100)] * 4
    ours = await played(scenario(*calls, callers=4))
    worst_case = await played(scenario(*calls, callers=4), "hold_worst_case_clamp")
    assert (ours.completed, ours.in_flight) == (4, 4)
    assert (worst_case.completed, worst_case.in_flight) == (4, 1)
    assert ours.makespan < worst_case.makespan


@pytest.mark.anyio
async def test_a_hold_that_is_extended_sends_no_prompt_again() -> None:
    world = scenario(*[call(1_000, 900)] * 3, callers=3, bill="streamed", limit=11_000)
    extended, without = await played(world, "agentkit_extend"), await played(world, "agentkit_likely")
    assert (extended.completed, extended.further, extended.billed) == (3, 0, 5_700)
    assert without.further > 0 and without.billed > 5_700


@pytest.mark.anyio
async def test_with_no_room_to_go_on_a_reply_stays_cut() -> None:
    outcome = await played(scenario(call(1_000, 500), limit=2_000), "cap_p95")
    assert (outcome.completed, outcome.truncated, outcome.truncated_tokens) == (0, 1, 1_000 + LIKELY)


# ---------------------------------------------------------------- decisions
@pytest.mark.parametrize(
    ("name", "ask", "room", "decision"),
    [
        ("agentkit", Ask(1_000), Room(9_000, alone=True, metered=False), CAP),
        ("agentkit", Ask(1_000), Room(9_000, alone=False, metered=False), CAP),
        ("agentkit", Ask(1_000), Room(5_000, alone=True, metered=False), 4_000),
        ("agentkit", Ask(1_000), Room(5_000, alone=False, metered=False), LIKELY),
        # the gate keeps room for one typical call
        ("agentkit", Ask(1_000), Room(1_000 + LIKELY + 1_100, alone=False, metered=False), LIKELY),
        ("agentkit", Ask(1_000), Room(1_000 + LIKELY + 1_099, alone=False, metered=False), WAIT),
        ("agentkit_no_gate", Ask(1_000), Room(1_000 + LIKELY, alone=False, metered=False), LIKELY),
        ("agentkit", Ask(1_000), Room(1_000 + LEAST, alone=True, metered=False), LEAST),
        ("agentkit", Ask(1_000), Room(1_000 + LEAST - 1, alone=True, metered=False), REFUSE),
        # a metered call waits for its whole cap, and keeps no room for pieces
        ("agentkit", Ask(1_000), Room(5_000, alone=False, metered=True), WAIT),
        ("agentkit", Ask(1_000), Room(1_000 + CAP, alone=False, metered=True), CAP),
        # more of a reply that was cut: all that is left of the cap, and no gate
        ("agentkit", Ask(1_500, made=500), Room(6_000, alone=False, metered=False), CAP - 500),
        ("agentkit", Ask(1_500, made=500), Room(1_500 + LIKELY, alone=False, metered=False), LIKELY),
        ("agentkit_likely_unless_metered", Ask(1_000), Room(9_000, alone=True, metered=False), LIKELY),
        ("agentkit_likely_unless_metered", Ask(1_000), Room(9_000, alone=True, metered=True), CAP),
        ("cap_p95", Ask(1_000), Room(9_000, alone=True, metered=True), LIKELY),
        ("cap_p95", Ask(1_500, made=500), Room(5_000, alone=False, metered=False), WAIT),
        ("hold_worst_case", Ask(1_000), Room(5_000, alone=True, metered=False), REFUSE),
        ("hold_worst_case", Ask(1_000), Room(5_000, alone=False, metered=False), WAIT),
        ("hold_worst_case_clamp", Ask(1_000), Room(5_000, alone=True, metered=False), 4_000),
        ("hold_mean", Ask(1_000), Room(1_100, alone=False, metered=False), CAP),
        ("check_afterwards", Ask(1_000), Room(1, alone=False, metered=False), CAP),
        ("check_afterwards", Ask(1_000), Room(0, alone=False, metered=False), REFUSE),
    ],
)
def test_what_a_policy_decides(name: str, ask: Ask, room: Room, decision: Decision) -> None:
    assert POLICIES[name].decide(ask, room, lengths(), mean=100) == decision


# ---------------------------------------------------------------- traces and keys
def write_traces(place: Path) -> None:
    (place / "traces").mkdir()
    for seed, name in enumerate(TRACES):
        with gzip.open(place / f"traces/azure_llm_2023_{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
            for made in reversed(trace(seed)):
                minutes, seconds = divmod(made.arrival, 60)
                file.write(f"2023-11-16 18:{minutes:02.0f}:{seconds:010.7f},{made.prompt},{made.reply}\n")


def test_the_bench_measures_every_policy_and_beats_what_holds_the_worst_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_traces(tmp_path)
    monkeypatch.setenv("AGENTKIT_DATA", str(tmp_path))
    read, written = recorded_calls(tmp_path / "traces", "code"), trace(TRACES.index("code"))
    assert [(made.prompt, made.reply) for made in read] == [(made.prompt, made.reply) for made in written]
    result = load("policies")(Options(quick=True, seeds=2))
    metrics = dict(result.metrics)
    assert metrics["overspend_max"] == 0 == metrics["bill_above_ledger_max_tokens"]
    assert metrics["trials"] == 2 * 2 * 2 * 2
    assert set(result.baselines) == POLICIES.keys() - {"agentkit"}
    for part in ("", "_streamed", "_full", "_conv", "_code", "_n1", "_n32"):
        for key in ("completed_ratio", "completed_calls", "truncated_calls", "truncated_ratio", "makespan_s"):
            assert metrics[key + part] >= 0
    worst_case = result.baselines["hold_worst_case"]
    assert metrics["completed_ratio"] > worst_case["completed_ratio"]
    assert metrics["makespan_s_n32"] < worst_case["makespan_s_n32"]
    low, high = result.intervals["completed_calls_over_best"]
    assert low <= metrics["completed_calls_over_best"] <= high
    foreign = [keys for name, keys in result.baselines.items() if not name.startswith("agentkit")]
    best = max(keys["completed_calls"] for keys in foreign if keys["overspend_max"] == 0)
    assert best == metrics["best_baseline_completed_calls"]
    assert metrics["completed_calls_over_best"] == pytest.approx(metrics["completed_calls"] - best)
    assert result.baselines["check_afterwards"]["overspend_max"] > 0.5


def test_without_traces_the_bench_says_where_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTKIT_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="set AGENTKIT_DATA to the folder that holds traces/"):
        load("policies")(Options(quick=True))


@pytest.mark.skipif(folder() is None, reason="needs the Azure traces below AGENTKIT_DATA")
def test_the_traces_are_read_in_the_order_of_arrival() -> None:
    place = folder()
    assert place is not None
    calls = recorded_calls(place, "code")
    assert calls[0] == Recorded(0.0, 4_808, 10)
    assert calls[1].arrival == pytest.approx(0.052) and (calls[1].prompt, calls[1].reply) == (3_180, 8)
    assert all(a.arrival <= b.arrival for a, b in zip(calls, calls[1:], strict=False))
