"""Outcome tables on disk: what is read, what is computed, what is left out, and what is refused where."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentkit.errors import TableError
from agentkit.routers.estimators import Counts, read_table
from tests.routers.estimators.tables import two_topics, write, write_rows

QUERIES = [{"query_id": "a", "dataset": "d", "task": "t", "query": "What?"}]
ROW: dict[str, Any] = {
    "query_id": "a", "model": "m", "score": 1, "input_tokens": 100, "output_tokens": 50, "cost_usd": 0.5,
}  # fmt: skip
PRICES = {"m": {"price_in_per_mtok": 2, "price_out_per_mtok": 4}}


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    made = two_topics(30)
    read = read_table(write(tmp_path / "two-topics", made))
    assert (read.name, read.items, read.models, read.prices) == (
        "two-topics",
        made.items,
        made.models,
        made.prices,
    )
    for name in ("score", "cost", "input_tokens", "output_tokens"):
        np.testing.assert_allclose(getattr(read, name), getattr(made, name))
    assert read.counts == Counts(recorded=90)


def test_the_digest_names_the_content(tmp_path: Path) -> None:
    first, again = (read_table(write_rows(tmp_path / name, QUERIES, [ROW])).digest for name in "ab")
    other = read_table(write_rows(tmp_path / "c", QUERIES, [{**ROW, "score": 0}])).digest
    assert first == again != other


@pytest.mark.parametrize(
    ("change", "cost", "counts"),
    [
        ({}, 0.5, Counts(recorded=1)),
        ({"cost_usd": ""}, 0.0004, Counts(computed=1)),
        ({"cost_usd": "", "output_tokens": ""}, None, Counts(left_out=1)),
        ({"score": ""}, None, Counts(left_out=1, unscored=1)),
        ({"score": -0.03}, 0.5, Counts(recorded=1, raised=1)),
    ],
)
def test_costs_are_recorded_computed_or_left_out(
    tmp_path: Path, change: dict[str, Any], cost: float | None, counts: Counts
) -> None:
    table = read_table(write_rows(tmp_path, QUERIES, [{**ROW, **change}], PRICES))
    assert table.counts == counts
    assert table.known[0, 0] == (cost is not None)
    if cost is not None:
        assert table.cost[0, 0] == pytest.approx(cost)
        assert 0 <= table.score[0, 0] <= 1


def test_hidden_reasoning_is_never_priced_by_its_visible_tokens(tmp_path: Path) -> None:
    prices = {"m": {**PRICES["m"], "hidden_reasoning": True}}
    assert read_table(write_rows(tmp_path, QUERIES, [{**ROW, "cost_usd": ""}], prices)).counts.left_out == 1


def test_unknown_output_can_be_assumed(tmp_path: Path) -> None:
    row = {**ROW, "cost_usd": "", "output_tokens": ""}
    table = read_table(write_rows(tmp_path, QUERIES, [row], PRICES), assumed_output=200)
    assert table.cost[0, 0] == pytest.approx((100 * 2 + 200 * 4) / 1e6)


@pytest.mark.parametrize(("right", "blank"), [(0, True), (1, False)])
def test_an_empty_answer_is_a_failure_unless_one_was_ever_right(tmp_path: Path, right: int, blank: bool) -> None:
    table = read_table(write_rows(tmp_path, QUERIES, [{**ROW, "score": right, "answer": ""}]))
    assert table.blank(0, "m") is blank


@pytest.mark.parametrize(
    ("outcomes", "line", "says"),
    [
        ([{**ROW, "score": 1.5}], 2, "between 0 and 1"),
        ([{**ROW, "cost_usd": "free"}], 2, "cost_usd"),
        ([{**ROW, "input_tokens": -1}], 2, "input_tokens"),
        ([{**ROW, "cost_usd": "nan"}], 2, "cost_usd"),
        ([{**ROW, "query_id": "b"}], 2, "'b' is not in"),
        ([ROW, ROW], 3, "second outcome"),
        ([{"query_id": "a", "model": "m"}], 1, "'score' is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, outcomes: list[dict[str, Any]], line: int, says: str
) -> None:
    with pytest.raises(TableError, match=says) as failure:
        read_table(write_rows(tmp_path, QUERIES, outcomes))
    assert (failure.value.path, failure.value.line) == (str(tmp_path / "outcomes.csv.gz"), line)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'{"query_id": "a"}\n', 1, "'dataset'"),
        (b'{"query_id": "a", "dataset": "d", "task": "t", "query": "q"}\n' * 2, 2, "twice"),
        (b"{}\n[", 1, "query_id"),
        (b"\n", 1, "JSON"),
        (b"\xff", 1, "cannot be read"),
        (b"", 1, "no query"),
    ],
)
def test_wrong_queries_are_named_with_their_line(tmp_path: Path, content: bytes, line: int, says: str) -> None:
    write_rows(tmp_path, QUERIES, [ROW])
    (tmp_path / "queries.jsonl.gz").write_bytes(gzip.compress(content))
    with pytest.raises(TableError, match=says) as failure:
        read_table(tmp_path)
    assert failure.value.line == line


def test_a_broken_archive_and_a_missing_file_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path, QUERIES, [ROW])
    whole = (tmp_path / "outcomes.csv.gz").read_bytes()
    (tmp_path / "outcomes.csv.gz").write_bytes(whole[:-6])
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path)
    (tmp_path / "outcomes.csv.gz").unlink()
    with pytest.raises(TableError, match="missing"):
        read_table(tmp_path)
