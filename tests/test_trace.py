"""Traces: the stamps, the JSON lines, and the files they go to."""

import json
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

import anyio
import pytest

from agentkit import Agent, trace
from agentkit.backends import ScriptedBackend
from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.trace import Answered, Composed, Event, JsonlSink, RunStarted, Stamped, TextDelta, Trace
from tests.scenario import TASK, agent
from tests.virtual import in_virtual_time

KINDS = set(
    "run plan replan compose route reserve dispatch extend settle void charge overrun retry delta tool verify "
    "answer error".split()
)
EVENTS = [kind for kind in vars(trace).values() if isinstance(kind, type) and issubclass(kind, Event)]


def stamped(event: Event, seq: int = 0) -> Stamped:
    return Stamped("run-1", seq, 1_700_000_000.1234567, "app/run-1", event)


def test_every_event_has_a_kind_of_the_format_and_no_field_hides_a_stamp() -> None:
    for event in EVENTS:
        if event is not Event:
            assert event.kind in KINDS
            assert not {field.name for field in fields(event)} & {"v", "run", "seq", "time", "kind", "scope"}


def test_a_line_is_one_json_object_with_the_stamp_first() -> None:
    line = stamped(RunStarted("a", "what\nnow", MappingProxyType({"usd": 5}), None, "default"), 3).to_json()
    assert "\n" not in line
    assert json.loads(line) == {
        "v": 1,
        "run": "run-1",
        "seq": 3,
        "time": 1_700_000_000.123457,
        "kind": "run",
        "scope": "app/run-1",
        "agent": "a",
        "task": "what\nnow",
        "limits": {"usd": 5},
        "seconds": None,
        "budget_origin": "default",
    }


def test_costs_and_maps_are_objects() -> None:
    answered = json.loads(stamped(Answered("complete", "answered", "Yes.", Cost(usd=7, tokens=2))).to_json())
    assert answered["spent"] == {"usd": 7, "tokens": 2}
    composed = json.loads(stamped(Composed(("tool:a",), {"tool:a": "fits"}, 0.5, "")).to_json())
    assert (composed["chosen"], composed["reasons"]) == (["tool:a"], {"tool:a": "fits"})


def test_what_has_no_place_in_a_trace_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no place in a trace"):
        stamped(TextDelta("main", "m", {1})).to_json()  # type: ignore[arg-type]  # on purpose


def test_the_trace_numbers_stamps_and_hands_on() -> None:
    heard: list[Event] = []
    log = Trace("run-1", listener=heard.append)
    for text in ("a", "b"):
        log.emit("scope", TextDelta("main", "m", text))
    assert [entry.seq for entry in log.events] == [0, 1]
    assert [entry.event for entry in log.events] == heard
    assert log.streaming and not Trace("run-2").streaming


def test_a_file_is_opened_by_the_first_event_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.jsonl"
    sink = JsonlSink(path)
    assert not path.parent.exists()
    for seq in range(2):
        sink.write(stamped(TextDelta("main", "m", "x"), seq))
        assert len(path.read_text().splitlines()) == seq + 1  # a crash now would lose nothing
        sink.close()
    sink.close()


def test_half_a_surrogate_pair_survives_the_file(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "trace.jsonl")
    sink.write(stamped(TextDelta("main", "m", "caf\u00e9 \ud83d")))
    sink.close()
    assert json.loads((tmp_path / "trace.jsonl").read_text(encoding="utf-8"))["text"] == "caf\u00e9 \ud83d"


@pytest.mark.anyio
async def test_a_real_run_on_disk(tmp_path: Path) -> None:
    answer = await agent().run(TASK, trace=JsonlSink(tmp_path / "run.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(len(answer.trace)))
    assert (rows[0]["kind"], rows[-1]["kind"]) == ("run", "answer")
    assert rows[-1]["spent"] == dict(answer.spent.items())
    assert len({row["run"] for row in rows}) == 1


@pytest.mark.anyio
async def test_a_path_is_a_sink(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = await agent().run(TASK, trace=path)
    async with agent().stream(TASK, trace=str(path)) as events:
        async for _ in events:
            pass
    runs = [json.loads(line)["run"] for line in path.read_text().splitlines()]
    assert runs[: len(first.trace)] == [first.trace[0].run] * len(first.trace) and len(set(runs)) == 2


@pytest.mark.parametrize("given", [5, True, [], print, JsonlSink], ids=repr)
def test_what_takes_no_events_is_refused_before_the_run(given: object) -> None:
    with pytest.raises(ConfigError, match=r"path of a JSONL file, or a sink: .* write\(stamped\) and close\(\)"):
        agent().run_sync(TASK, trace=given)


@in_virtual_time
@pytest.mark.anyio
async def test_a_cancelled_run_ends_its_trace_with_a_failure(tmp_path: Path) -> None:
    subject = Agent(ScriptedBackend("a long story " * 50, delay=0.05, bill="full"))
    with anyio.move_on_after(0.1):
        await subject.run("Tell a story.", trace=JsonlSink(tmp_path / "trace.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows][-3:] == ["charge", "void", "error"]
    assert rows[-1]["where"] == "run" and rows[-1]["error"].startswith("Cancelled")
