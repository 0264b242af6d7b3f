"""The anytime bench: its area, its grades, the endings it compares, the replay, and what a small run shows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit import Agent, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.evals.benches import BenchResult, Options, anytime
from agentkit.evals.benches.anytime import area, run
from agentkit.evals.benches.anytime_cases import PARTS, Case, desk_cases, needed_facts, recorded_cases
from agentkit.evals.benches.anytime_gsm8k import LARGEST_CAP, VARIANT, Problem, folder, problems
from agentkit.evals.benches.endings import endings
from agentkit.evals.statistics import bootstrap_mean
from agentkit.evals.suites.order_desk.agent import draw_questions
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.messages import user
from agentkit.types import Completion, Request

UNLIMITED = 10**9


# ---------------------------------------------------------------- area
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], 0),
        ([(5, 0.0), (10, 1.0)], 0.5),
        ([(5, 0.5), (10, 1.0)], 0.625),
        ([(8, 1.0), (5, 0.5)], 0.375),  # the larger budget spent less: what it is worth holds from there
        ([(5, 0.5), (21, 1.0)], 0.375),  # spent beyond the range
    ],
)
def test_the_area_is_the_mean_quality_of_the_largest_budget_within_each_spend(
    steps: list[tuple[int, float]], expected: float
) -> None:
    assert area(steps, 20) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1))), st.integers(1, 30))
def test_the_area_is_what_counting_every_unit_gives(steps: list[tuple[int, float]], most: int) -> None:
    units = (next((q for spent, q in reversed(steps) if spent <= x), 0.0) for x in range(most))
    assert area(steps, most) == pytest.approx(sum(units) / most)


def test_the_bootstrap_of_a_mean_covers_it_and_is_exact_without_spread() -> None:
    assert bootstrap_mean([0.25] * 20) == (0.25, 0.25)
    low, high = bootstrap_mean([0.0, 1.0] * 50)  # mean 0.5, deviation 0.05
    assert low == pytest.approx(0.40, abs=0.02)
    assert high == pytest.approx(0.60, abs=0.02)


# ---------------------------------------------------------------- grades
def test_needed_facts_lead_from_the_question_to_its_answer() -> None:
    desk = Desk.create(5, "test")
    found = {question.kind: question for question in draw_questions(desk, "test", 60, 6)}
    status, city, total = (found[kind] for kind in ("order.status", "order>customer.city", "order.total"))
    order = desk.order(status.steps[0][1]["order_id"])
    assert order is not None
    assert needed_facts(status) == (order["status"],)
    assert needed_facts(city) == (city.steps[1][1]["name"], city.answer)
    quantity, price = total.steps[2][1]["expression"].split(" * ")
    assert needed_facts(total) == (total.steps[1][1]["name"], quantity, price)
    per_unit = found["shipment.per_unit"]
    assert len(needed_facts(per_unit)) == 2


def test_a_text_is_graded_by_the_facts_it_states_whole() -> None:
    desk = Desk.create(5, "test")
    [case] = anyio.run(desk_cases, desk, "order_desk_pico", 1)
    [question] = draw_questions(desk, "test", 1, 700_002)
    assert case.task == question.text
    assert case.grade(question.sentence) == (1, 1)
    assert case.grade(f"It says {question.answer}, I think.") == (0, 0.5)
    assert case.grade(f"{question.answer}x or x{question.answer}") == (0, 0)
    assert case.grade("") == (0, 0)
    assert case.least < case.most


# ---------------------------------------------------------------- endings
def _agent() -> tuple[Agent[str], ScriptedBackend]:
    def reply(request: Request) -> str | Completion:
        if not request.tools:
            return "from the facts: 42"
        if request.messages[-1].role == "tool":
            return "so it is 42 then"
        return calls(("look_up", {"number": 7}), text="")

    @tool
    async def look_up(number: int) -> str:
        """Look up an entry by its number."""
        return f"entry {number} says 42"

    backend = ScriptedBackend(reply)
    return Agent(backend, tools=[look_up]), backend


@pytest.mark.anyio
async def test_work_that_ends_by_itself_ends_the_same_for_all() -> None:
    agent, backend = _agent()
    ended = await endings(agent, "What is it?", "tokens", UNLIMITED, 50)
    assert {(name, end.text, end.spent) for name, end in ended.items()} == {
        (name, "so it is 42 then", backend.billed["tokens"])
        for name in ("exception", "forced_submit", "extra_call")
    }


@pytest.mark.anyio
async def test_at_the_limit_each_ends_in_its_way_and_at_its_real_cost() -> None:
    agent, backend = _agent()
    need = (await endings(agent, "What is it?", "tokens", UNLIMITED, 50))["exception"].spent
    first = backend.bill[0].total_input + backend.bill[0].total_output
    backend.bill.clear()
    ended = await endings(agent, "What is it?", "tokens", need - 1, 50)
    assert (ended["exception"].text, ended["exception"].spent) == ("", first)
    last, note = ended["forced_submit"].text.splitlines()
    assert (last, ended["forced_submit"].spent) == ("entry 7 says 42", first)
    assert note.startswith("Budget ")
    assert (ended["extra_call"].text, ended["extra_call"].spent) == (
        "from the facts: 42",
        backend.billed["tokens"],
    )
    assert "entry 7 says 42" in backend.requests[-1].messages[-1].text
    assert backend.requests[-1].max_output_tokens == 50


# ---------------------------------------------------------------- replay
@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five recorded questions: wrong under caps below 224, right above; and another variant's reply."""
    place = tmp_path / "anytime_gsm8k"
    place.mkdir()
    rows = ["query_id,variant,step,max_new_tokens,correct,self_conf,output_tokens_est,answer"]
    for query in range(5):
        for step, (cap, answer) in enumerate(((96, 11), (160, 12), (224, 13), (320, 13)), start=1):
            rows.append(f"q{query},{VARIANT},{step},{cap},{int(answer == 13)},0.9,{40 + step},{answer}")
    rows.append("q0,other,1,96,1,0.9,9,99")
    queries = [json.dumps({"query_id": f"q{n}", "query": "How many are they? " * 4}) for n in range(6)]
    (place / "outcomes.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    (place / "queries.jsonl.gz").write_bytes(gzip.compress("\n".join(queries).encode()))
    monkeypatch.setenv("AGENTKIT_DATA", str(tmp_path))
    return place


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cap", "last", "tokens", "right"),
    [(320, "#13", 44, True), (223, "#12", 42, False), (96, "#11", 41, False), (41, "#11", 41, False)],
)
async def test_a_cap_plays_the_largest_recording_within_it(
    recordings: Path, cap: int, last: str, tokens: int, right: bool
) -> None:
    problem = problems(recordings)[0]
    completion = await problem.model().complete(Request(messages=(user("?"),), max_output_tokens=cap))
    assert completion.message.text.split()[-1] == last
    assert completion.usage is not None
    assert completion.usage.output_tokens == tokens
    assert problem.is_correct(completion.message.text) is right


@pytest.mark.anyio
async def test_a_cap_below_the_length_cuts_the_answer_off(recordings: Path) -> None:
    right = problems(recordings)[0].replies[-1]
    problem = Problem("?", (right,))
    completion = await problem.model().complete(Request(messages=(user("?"),), max_output_tokens=43))
    assert (completion.finish_reason, problem.is_correct(completion.message.text)) == ("length", False)
    assert problem.is_correct(right.text)


def test_only_recorded_questions_of_the_variant_are_read(recordings: Path) -> None:
    found = problems(recordings)
    assert len(found) == 5
    assert [reply.cap for reply in found[0].replies] == [96, 160, 224, 320]
    assert folder() == recordings


def test_the_recorded_range_ends_where_the_largest_cap_can_be_sent(recordings: Path) -> None:
    [case] = recorded_cases(problems(recordings)[:1])
    answer = case.agent.run_sync(case.task, budget=case.budget(case.most))
    assert case.grade(answer.text) == (1, 1)
    assert max(receipt.held["output_tokens"] for receipt in answer.receipts) == LARGEST_CAP
    assert case.least == case.agent.minimum(case.task)["tokens"]


# ---------------------------------------------------------------- a small run
@pytest.fixture
def measured(recordings: Path) -> BenchResult:
    return run(Options(quick=True))


def test_agentkit_always_answers_and_never_overspends(measured: BenchResult) -> None:
    metrics, others = measured.metrics, measured.baselines
    assert (metrics["answered_ratio"], metrics["overspend_max"]) == (1, 0)
    assert others["exception"]["order_desk_nano_answered_ratio"] < 1
    assert others["exception"]["order_desk_nano_overspend_max"] == 0
    assert others["forced_submit"]["order_desk_nano_overspend_max"] == 0
    assert others["extra_call"]["order_desk_nano_answered_ratio"] == 1
    assert others["extra_call"]["order_desk_nano_overspend_max"] > 0
    for part in ("order_desk_nano", "gsm8k"):
        difference = metrics[f"{part}_right_area"] - others["exception"][f"{part}_right_area"]
        assert metrics[f"{part}_right_area_over_exception"] == pytest.approx(difference)
        low, high = measured.intervals[f"{part}_right_area_over_exception"]
        assert low <= difference <= high
        assert metrics[f"{part}_right_area_by_budget"] <= metrics[f"{part}_right_area"]


def test_without_recordings_their_part_is_skipped_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTKIT_DATA", str(tmp_path))
    monkeypatch.setattr(anytime, "PARTS", {"order_desk_pico": PARTS["order_desk_pico"]})
    assert folder() is None
    measured = run(Options(quick=True))
    assert "AGENTKIT_DATA" in measured.environment["skipped"]["gsm8k"]
    assert not any(key.startswith("gsm8k") for key in measured.metrics)


def test_a_case_counts_its_budget_in_what_it_limits(recordings: Path) -> None:
    [tokens] = recorded_cases(problems(recordings)[:1])
    assert dict(tokens.budget(77).limits()) == {"tokens": 77}
    dollars = Case(tokens.agent, "?", "usd", 1, 1, 1, tokens.grade)
    assert dict(dollars.budget(123).limits()) == {"usd": 123}
