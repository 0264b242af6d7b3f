"""What runs teach about their models, read off the events of a trace, live or from its file.

A run gives one lesson for each model that it called: what the model used, scaled to all turns of the run, its
score if that is known, and the votes on its reply. Scores come only with a `verdict` on the answer: it is for the
model whose reply the answer is, and a reply that did not validate then scores 0. Without one valid replies have no
score, and to count but the others would make every model worse the more it is called. Where the run was cut short
and wrapped up the verdict is for nobody. Runs of several steps teach nothing, since their steps have texts of
their own. A vote is no call of the voter: what it costs is not what replies of the voter's own cost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError, TableError
from agentkit.routers.base import Votes

Verdict = Callable[[str, str], float | bool | None]
"""Says of a task and its answer how right the answer is, 0 to 1, or None for unknown."""

_SHOWN = 80  # characters of a task in an error


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a run said of one model: its score, None for unknown, and what the whole run would use with it.

    `answer` is the run's text where it is the model's own, and `votes` are those on that reply, if any;
    `time` is when the run began, in Unix seconds.
    """

    task: str
    model: str
    score: float | None
    nano_usd: float
    input_tokens: float
    output_tokens: float
    seconds: float
    answer: str
    time: float
    votes: Votes | None = None


@dataclass(slots=True)
class _Called:
    """The calls of one model in one run."""

    calls: int = 0
    invalid: bool = False
    nano_usd: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class _Run:
    """A run as far as it has been read; `answered_by` is whose reply the latest turn ended with."""

    task: str
    time: float
    steps: set[str] = field(default_factory=set)
    turns: int = 0
    called: dict[str, _Called] = field(default_factory=dict)
    now: str = ""
    answered_by: str = ""
    failed: bool = False
    left: dict[str, float] = field(default_factory=dict)
    votes: dict[str, Votes] = field(default_factory=dict)


class RunReader:
    """Takes the events of runs, as the objects of a trace file, and gives the lessons of each run at its end."""

    def __init__(self, verdict: Verdict | None = None) -> None:
        self._verdict = verdict
        self._runs: dict[str, _Run] = {}

    def feed(self, row: Mapping[str, Any]) -> list[Lesson]:
        """Take the next event; raises KeyError and TypeError for a row that is no event of a trace.

        Raises ConfigError when the verdict does, and for one that is not 0 to 1.
        """
        kind, name = row["kind"], row["run"]
        if kind == "run":
            self._runs[name] = _Run(row["task"], float(row["time"]))
        run = self._runs.get(name)
        if run is None:
            return []
        if kind == "answer":
            del self._runs[name]
            return self._lessons(run, row)
        _READ.get(kind, _nothing)(run, row)
        return []

    def _lessons(self, run: _Run, row: Mapping[str, Any]) -> list[Lesson]:
        if len(run.steps) != 1 or not run.turns:
            return []
        said = None
        if self._verdict is not None and row["status"] in ("complete", "degraded"):
            said = _score(self._verdict, run.task, row["text"])
        author = run.answered_by if row["status"] == "complete" else ""
        lessons = []
        for model, one in run.called.items():
            if not one.calls:
                continue
            score = None
            if said is not None:
                score = 0.0 if one.invalid else said if model == author else None
            scale = run.turns / one.calls
            lessons.append(
                Lesson(
                    run.task,
                    model,
                    score,
                    nano_usd=scale * one.nano_usd,
                    input_tokens=scale * one.input_tokens,
                    output_tokens=scale * one.output_tokens,
                    seconds=scale * one.seconds,
                    answer=row["text"] if model == author else "",
                    time=run.time,
                    votes=run.votes.get(model) if model == author else None,
                )
            )
        return lessons


def read_lessons(path: str | Path, verdict: Verdict | None = None) -> Iterator[Lesson]:
    """Yield the lessons of a trace file.

    Raises TableError with the line that is no event, and ConfigError as `RunReader.feed` does.
    """
    reader = RunReader(verdict)
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield from reader.feed(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise TableError(f"this is no event of a trace: {error!r}", path, number) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"the trace cannot be read: {error}", path, 0) from error


def _score(verdict: Verdict, task: str, answer: str) -> float | None:
    """Ask the verdict, which is the user's code."""
    name = f"{verdict.__module__}:{getattr(verdict, '__qualname__', type(verdict).__qualname__)}"
    try:
        said = verdict(task, answer)
        score = None if said is None else float(said)
    except Exception as error:
        raise ConfigError(f"verdict {name} broke on the task {task[:_SHOWN]!r}: {error!r}") from error
    if score is not None and not 0 <= score <= 1:
        raise ConfigError(f"verdict {name} says {said!r} of the task {task[:_SHOWN]!r}; give 0 to 1, or None")
    return score


def _route(run: _Run, row: Mapping[str, Any]) -> None:
    run.steps.add(row["step"])
    if row.get("about"):  # a vote: what it costs is not what the voter's own replies cost
        run.now = ""
        return
    run.votes.pop(row["model"], None)  # those were on an earlier reply of it
    run.now, run.answered_by = row["model"], row.get("answer", "")  # which older traces do not tell
    run.turns += not run.now


def _leave(run: _Run, row: Mapping[str, Any]) -> None:
    run.left[row["hold"]] = float(row["time"])


def _settle(run: _Run, row: Mapping[str, Any]) -> None:
    if not run.now or row["what"] != f"model:{run.now}":
        return
    one, charged = run.called.setdefault(run.now, _Called()), row["charged"]
    one.nano_usd += charged.get("usd", 0)
    one.input_tokens += charged.get("input_tokens", 0)
    one.output_tokens += charged.get("output_tokens", 0)
    one.seconds += max(0.0, float(row["time"]) - run.left.pop(row["hold"], float(row["time"])))


def _verify(run: _Run, row: Mapping[str, Any]) -> None:
    if row.get("about"):
        _hear(run, row["about"], row["model"], row.get("right"))
        return
    one, failed, run.failed = run.called.get(row["model"]), run.failed, False
    if one is None or row["model"] != run.now or failed:
        return
    one.calls += 1
    one.invalid = one.invalid or bool(row["problems"])


def _hear(run: _Run, model: str, by: str, right: bool | None) -> None:
    so_far = run.votes.get(model, Votes(by, 0, 0))
    if right is not None:
        run.votes[model] = Votes(by, so_far.yes + right, so_far.count + 1)


def _fail(run: _Run, row: Mapping[str, Any]) -> None:
    """A call that broke says nothing of what the model knows."""
    run.failed = run.failed or row["where"] == f"model:{run.now}"


def _nothing(run: _Run, row: Mapping[str, Any]) -> None:
    """Most events teach nothing."""


_READ: Mapping[str, Callable[[_Run, Mapping[str, Any]], None]] = {
    "route": _route,
    "reserve": _leave,
    "dispatch": _leave,
    "settle": _settle,
    "charge": _settle,
    "verify": _verify,
    "error": _fail,
}
