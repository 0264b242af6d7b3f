"""`agentkit trace show`: a trace file in words."""

from pathlib import Path

import pytest

from agentkit import trace
from agentkit.cli.timeline import describe
from agentkit.costs import Cost
from agentkit.trace import (
    Answered,
    Charged,
    Composed,
    Dispatched,
    Event,
    Extended,
    Failed,
    JsonlSink,
    Overrun,
    Planned,
    Replanned,
    Reserved,
    Retried,
    Routed,
    RunStarted,
    Settled,
    Stamped,
    TextDelta,
    ToolFinished,
    ToolStarted,
    Verified,
    Voided,
)
from tests.cli.conftest import Cli

COST = Cost(usd=12_000, tokens=9)
EVENTS: list[tuple[Event, str]] = [
    (RunStarted("desk", "Hello?", Cost(usd=50_000_000), 30.0, "argument"), "'Hello?'; budget $0.05 · 30 seconds"),
    (Composed(("model:m", "tool:t"), {}, 1.5, "$1 more would add u"), "model:m, tool:t; $1 more would add u"),
    (Planned({"a": (), "b": ("a",)}, "two steps"), "a, b: two steps"),
    (Replanned({"c": ()}, "one more"), "c: one more"),
    (Routed("main", "m", "the cheapest"), "m: the cheapest"),
    (Retried("main", "m was empty"), "again: m was empty"),
    (Reserved("h1", "model:m", COST, True), "model:m holds $0.000012 · 9 tokens"),
    (Extended("h2", COST), "h2 holds $0.000012 · 9 tokens more"),
    (Dispatched("h2"), "h2 leaves"),
    (ToolStarted("c1", "t", '{"a": 1}'), 't({"a": 1})'),
    (ToolFinished("c1", "t", "one\ntwo", False), "t gave one two"),
    (ToolFinished("c2", "t", "no", True), "t failed: no"),
    (Settled("h1", "model:m", COST), "model:m cost $0.000012 · 9 tokens"),
    (Voided("h2"), "h2 is released"),
    (Charged("h3", "model:m", COST), "model:m is charged in full: $0.000012"),
    (Overrun("h3", "model:m", COST), "model:m was billed $0.000012 · 9 tokens above its hold"),
    (Verified("main", "m", ()), "m: valid"),
    (Verified("main", "m", (), "n", False), "m: the reply of n is wrong"),
    (Verified("main", "m", (), "n"), "m: the reply of n is neither right nor wrong"),
    (Verified("main", "m", ("too long",)), "m: too long"),
    (Failed("model:m", "down"), "model:m: down"),
    (Answered("complete", "answered", "Hi.", COST), "complete: Hi."),
]


def write(path: Path, run: str, events: list[Event], start: float = 100.0) -> None:
    sink = JsonlSink(path)
    for seq, event in enumerate(events):
        sink.write(Stamped(run, seq, start + seq / 4, run, event))
    sink.close()


def test_every_kind_of_event_is_told(cli: Cli, folder: Path) -> None:
    write(folder / "t.jsonl", "run-1", [event for event, _ in EVENTS])
    code, out, _ = cli("trace", "show", "t.jsonl")
    assert code == 0
    title, *lines = out.splitlines()
    assert title == "run-1"
    for place, (line, (event, words)) in enumerate(zip(lines, EVENTS, strict=True)):
        time, kind, what = line.split(maxsplit=2)
        assert (float(time), kind) == (place / 4, event.kind)
        assert words in what


def test_no_kind_of_event_is_forgotten() -> None:
    kinds = {kind for kind in vars(trace).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {type(event) for event, _ in EVENTS} == kinds - {Event, TextDelta}
    assert describe(TextDelta("main", "m", "He")) == "m: He"


def test_pieces_of_text_are_left_out(cli: Cli, folder: Path) -> None:
    answered = Answered("complete", "answered", "Hi.", COST)
    write(folder / "t.jsonl", "run-1", [TextDelta("main", "m", "Hi."), answered])
    assert len(cli("trace", "show", "t.jsonl").out.splitlines()) == 2


def test_a_line_ends_where_json_lines_do(cli: Cli, folder: Path) -> None:
    write(folder / "t.jsonl", "run-1", [Answered("complete", "answered", "one\u2028two\x85three", COST)])
    result = cli("trace", "show", "t.jsonl")
    assert result.code == 0 and "three" in result.out


def test_runs_are_told_apart_and_one_can_be_asked_for(cli: Cli, folder: Path) -> None:
    answered = Answered("complete", "answered", "Hi.", COST)
    write(folder / "t.jsonl", "run-b", [Dispatched("of b")])
    write(folder / "t.jsonl", "run-a", [Dispatched("of a"), answered])
    out = cli("trace", "show", "t.jsonl").out
    assert out.index("of a") < out.index("run-b") < out.index("of b")
    assert out.endswith("the run ended without an answer\n")
    only = cli("trace", "show", "t.jsonl", "--run", "run-a").out
    assert "of a" in only
    assert "of b" not in only
    assert cli("trace", "show", "t.jsonl", "--run", "run-c").code == 3


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"v": 2}', '{"v": 1, "run": "r"}'])
def test_what_is_no_event_is_named_by_line(cli: Cli, folder: Path, line: str) -> None:
    write(folder / "t.jsonl", "run-1", [Dispatched("h")])
    with (folder / "t.jsonl").open("a") as file:
        file.write(line)
    result = cli("trace", "show", "t.jsonl")
    assert result.code == 3
    assert result.err.startswith("error: t.jsonl:2")


def test_a_file_that_is_no_trace_is_refused(cli: Cli, folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"SQLite format 3\0\xff\xf8")
    result = cli("trace", "show", "ledger.db")
    assert result.code == 3
    assert result.err.endswith("is not an event of a trace; name a trace file, or delete the line\n")


def test_an_event_of_a_later_version_of_this_format_is_shown_by_kind(cli: Cli, folder: Path) -> None:
    row = '{"v": 1, "run": "r", "seq": 0, "time": 0, "kind": "vote", "scope": "r", "by": "m"}'
    (folder / "t.jsonl").write_text(row)
    result = cli("trace", "show", "t.jsonl")
    assert result.code == 0
    assert "vote" in result.out
