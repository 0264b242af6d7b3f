"""`agentkit eval`: replay, fit and import from the command line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.routers.artefact import load
from agentkit.trace import JsonlSink
from tests.cli.conftest import Cli
from tests.routers.estimators.tables import two_topics, write, write_rows
from tests.scenario import card

FAST = ("--routers", "default,rules", "--folds", "2", "--resamples", "20")


@pytest.fixture
def train(tmp_path: Path) -> str:
    return str(write(tmp_path / "train", two_topics(80)))


def test_a_replay_prints_one_object(cli: Cli, train: str) -> None:
    done = cli("eval", "replay", "--train", train, *FAST, "--budget", "30%,usd=0.5", "--json")
    figures = json.loads(done.out)
    assert done.code == 0
    assert {"default", "rules", "zero"} == set(figures["routers"])
    assert {"hull", "hull_low", "hull_high", "quality", "cost_usd"} <= set(figures["routers"]["default"])
    assert {row["budget"] for row in figures["routers"]["default"]["budgets"]} == {"30%", "usd=0.5"}
    assert figures["environment"]["table"] == "train"
    assert "80 queries, 3 models" in done.err and "fold 2 of 2: rules" in done.err


def test_what_was_done_under_each_budget_is_told_to_people_too(cli: Cli, train: str) -> None:
    done = cli("eval", "replay", "--train", train, *FAST, "--budget", "30%,usd=0.0001")
    _, _, told = done.out.partition("under hard budgets")
    rows = [line.split() for line in told.splitlines() if line.startswith(("30%", "usd=0.0001"))]
    assert [row[:2] for row in rows] == [[b, r] for b in ("30%", "usd=0.0001") for r in ("default", "rules")]
    for _, _, budget, spent, quality, answered, violations in rows:
        assert float(spent) <= float(budget) and 0 <= float(quality) <= 1 and violations == "0"
        assert (answered == "100.0%") is (float(budget) > 0.0001), "so little does not pay for all"
    assert "under hard budgets" not in cli("eval", "replay", "--train", train, *FAST).out


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_table_for_people_and_a_picture(cli: Cli, train: str, tmp_path: Path, suffix: str) -> None:
    test = str(write(tmp_path / "test", two_topics(60, seed=3)))
    done = cli("eval", "replay", "--train", train, "--test", test, *FAST, "--plot", f"front.{suffix}")
    assert done.code == 0
    assert "over best single" in done.out and "oracle" in done.out and "zero" in done.out
    start = (tmp_path / f"front.{suffix}").read_bytes()[:200]
    assert start.startswith(b"\x89PNG") or b"<svg" in start or b"<?xml" in start


def test_what_is_replayed_is_not_fitted_on(cli: Cli, tmp_path: Path) -> None:
    table = two_topics(120)
    train, test = write(tmp_path / "train", table), write(tmp_path / "test", table.rows(range(40)))
    done = cli("eval", "replay", "--train", str(train), "--test", str(test), *FAST, "--json")
    again = len({item.text for item in table.items[:40]} & set(table.texts))
    assert again and "queries that" in done.err and "are not fitted on" in done.err
    assert "120 to fit" not in done.err and "40 to replay" in done.err


def test_a_table_that_is_replayed_on_itself_is_told_before_the_work(cli: Cli, train: str) -> None:
    done = cli("eval", "replay", "--train", train, "--test", train, *FAST)
    assert done.code == 3 and "are in" in done.err and "nothing is left to fit on" in done.err
    assert "Warning" not in done.err and "fold 1" not in done.err


def test_models_of_little_coverage_and_unpriced_tables_are_told(cli: Cli, tmp_path: Path) -> None:
    made = two_topics(60)
    rows: list[dict[str, Any]] = [
        {"query_id": item.id, "model": model, "score": made.score[row, column], "input_tokens": 100,
         "output_tokens": "", "cost_usd": ""}
        for row, item in enumerate(made.items)
        for column, model in enumerate(made.models)
        if model != "history" or row < 20
    ]  # fmt: skip
    queries = [{"query_id": i.id, "dataset": i.dataset, "task": i.task, "query": i.text} for i in made.items]
    prices = {model: {"price_in_per_mtok": 1, "price_out_per_mtok": 1} for model in made.models}
    write_rows(tmp_path / "bare", queries, rows, prices)
    done = cli("eval", "replay", "--train", "bare", *FAST, "--json")
    notes = " ".join(json.loads(done.out)["environment"]["notes"])
    assert "priced at 200 output tokens" in notes and "1 models left out: history" in notes


def test_a_router_is_fitted_and_written(cli: Cli, train: str, tmp_path: Path) -> None:
    done = cli("eval", "fit", train, "--out", "mine.safetensors")
    assert (done.code, done.out.strip()) == (0, "mine.safetensors")
    assert (tmp_path / "mine.safetensors").stat().st_size > 0
    assert "3 models, 80 queries" in done.err


def test_outcomes_that_fitting_cannot_use_are_counted_with_the_reason(cli: Cli, tmp_path: Path) -> None:
    queries = [{"query_id": f"q{n}", "dataset": "d", "task": "t", "query": f"case {n}"} for n in range(30)]
    row = {"model": "m", "score": 1, "input_tokens": "", "output_tokens": "", "cost_usd": ""}
    rows = [{**row, "query_id": query["query_id"], "score": 1 if n else ""} for n, query in enumerate(queries)]
    write_rows(tmp_path / "bare", queries, rows)
    done = cli("eval", "fit", "bare")
    assert done.code == 3 and "0 queries with an outcome; fitting takes 20" in done.err
    assert "29 outcomes left out: no cost, and no tokens and prices" in done.err
    assert "1 outcomes left out: no score" in done.err


def test_where_all_answers_were_right_there_is_no_skill_to_tell(cli: Cli, tmp_path: Path) -> None:
    made = two_topics(60)
    right = write(tmp_path / "right", replace(made, score=np.ones_like(made.score)))
    assert "Brier skill not defined" in cli("eval", "fit", str(right)).err
    assert load("router.safetensors").reliability.skill is None
    done = cli("eval", "replay", "--train", str(right), *FAST, "--json")
    assert done.code == 0 and json.loads(done.out)["routers"]["default"]["brier_skill"] is None


def test_a_folder_that_is_not_there_is_told_before_the_work(cli: Cli, train: str) -> None:
    done = cli("eval", "fit", train, "--out", "nowhere/mine.safetensors")
    assert done.code == 3 and "there is no folder nowhere" in done.err and "fitting" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--routers", "nearest"], 3, "there is no router 'nearest'"),
        (["--routers", ","], 3, "one router or more"),
        (["--budget", "lots%"], 3, "'lots%': a replay takes shares such as 10%"),
        (["--budget", "nan%"], 3, "'nan%': a replay takes shares such as 10%"),
        (["--budget=-5%"], 3, "'-5%': a replay takes shares such as 10%"),
        (["--budget", "seconds=3"], 3, "'seconds=3': a replay takes shares such as 10% and dollars"),
        (["--budget", "foo"], 3, "'foo': a replay takes shares such as 10% and dollars such as usd=1.50"),
        (["--budget", "10%,usd=0"], 3, "'usd=0': a replay takes shares such as 10%"),
        (["--budget", ""], 3, "'': a replay takes shares such as 10%"),
        (["--plot", "front.pdf", *FAST], 3, ".png or .svg"),
        (["--coverage", "7"], 2, "--coverage"),
    ],
)
def test_what_is_asked_wrongly_is_told(cli: Cli, train: str, arguments: list[str], code: int, says: str) -> None:
    done = cli("eval", "replay", "--train", train, *arguments)
    assert done.code == code and says in done.err


def test_a_table_that_is_wrong_is_named_with_its_line(cli: Cli, train: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "wrong", [{"query_id": "a", "dataset": "d", "task": "t", "query": "q"}], [
        {"query_id": "a", "model": "m", "score": 7, "input_tokens": 1, "output_tokens": 1, "cost_usd": 1}
    ])  # fmt: skip
    done = cli("eval", "replay", "--train", "wrong")
    assert done.code == 3 and "outcomes.csv.gz:2: score is between 0 and 1" in done.err


def test_a_public_table_is_imported(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mmlu.csv").write_text("prompt,weak,strong\nWhy?,True,False\nHow?,False,True\n")
    done = cli("eval", "import", "routellm", "mmlu.csv", "table")
    assert (done.code, done.out.strip()) == (0, "table") and "4 outcomes" in done.err
    again = cli("eval", "import", "routellm", "mmlu.csv", "table")
    assert again.code == 3 and "already holds a table" in again.err


def test_an_artefact_learns_from_traces_and_is_fitted_on_them(cli: Cli, train: str, tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text("def is_right(task, answer):\n    return answer == 'right'\n")
    trace = tmp_path / "trace.jsonl"
    for number in range(24):
        model = ScriptedBackend("right" if number % 3 else "no", card=card("algebra"))
        Agent(model).run_sync(f"Question {number}?", trace=JsonlSink(trace))
    assert cli("eval", "fit", train, "--out", "mine.safetensors").code == 0
    done = cli("eval", "learn", "mine.safetensors", str(trace), "--verdict", "checks:is_right")
    assert (done.code, done.out.strip()) == (0, "mine.safetensors") and "24 lessons" in done.err
    learnt = load("mine.safetensors").lessons.models["algebra"]
    assert learnt.runs == 24 and learnt.precision > 0
    assert "0 lessons" in cli("eval", "learn", "mine.safetensors", str(trace)).err
    assert cli("eval", "fit", str(trace), "--verdict", "checks:is_right", "--out", "own.safetensors").code == 0
    assert load("own.safetensors").choice.best_single[1] == pytest.approx(16 / 24)
    done = cli("eval", "learn", "mine.safetensors", str(trace), "--verdict", "checks:is_wrong")
    assert done.code == 3 and "'checks:is_wrong' cannot be imported" in done.err
