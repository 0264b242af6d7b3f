"""The trace: what a run did, event by event, and where it is written.

Each event is one frozen dataclass; a trace stamps it with run, sequence number, time and scope. The same events
are what `agent.stream` yields. On disk a trace is JSONL, one object a line:

    {"v": 1, "run": …, "seq": …, "time": …, "kind": …, "scope": …, …fields of the event}
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TextIO

from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.redaction import redact_all
from agentkit.types import Receipt, Status
from agentkit.usage import Usage

VERSION = 1
_NUMBERS = {"Cost", "bool", "float", "float | None", "int", "Status", "Mapping[str, int]", "Usage | None"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run begins with these limits; `budget_origin` says where they come from."""

    kind: ClassVar[str] = "run"
    agent: str
    task: str
    limits: Mapping[str, int]
    seconds: float | None
    budget_origin: str


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """A plan was made; `needs` lists by step the steps whose results it takes."""

    kind: ClassVar[str] = "plan"
    needs: Mapping[str, tuple[str, ...]]
    reason: str


@dataclass(frozen=True, slots=True)
class Replanned(Event):
    """A plan goes on with further steps; `needs` is as in `Planned`."""

    kind: ClassVar[str] = "replan"
    needs: Mapping[str, tuple[str, ...]]
    reason: str


@dataclass(frozen=True, slots=True)
class Composed(Event):
    """The composer chose components; `reasons` has one line for every component, chosen or not."""

    kind: ClassVar[str] = "compose"
    chosen: tuple[str, ...]
    reasons: Mapping[str, str]
    value: float
    more: str


@dataclass(frozen=True, slots=True)
class Routed(Event):
    """The router decided: call `model`, or stop (`model` is empty) with the reply of the model `answer`.

    `about` is the model whose reply is voted on, where the call is for a vote.
    """

    kind: ClassVar[str] = "route"
    step: str
    model: str
    reason: str
    answer: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Reserved(Event):
    """A hold was made; `dispatched` when the call left in the same transaction."""

    kind: ClassVar[str] = "reserve"
    hold: str
    what: str
    cost: Cost
    dispatched: bool


@dataclass(frozen=True, slots=True)
class Dispatched(Event):
    """A call that was reserved earlier left."""

    kind: ClassVar[str] = "dispatch"
    hold: str


@dataclass(frozen=True, slots=True)
class Extended(Event):
    """A hold was made larger by `more`."""

    kind: ClassVar[str] = "extend"
    hold: str
    more: Cost


@dataclass(frozen=True, slots=True)
class Settled(Event):
    """A hold was charged with what its usage record says; nothing for a reply from our own cache.

    `usage` is that of a model call; a tool has none.
    """

    kind: ClassVar[str] = "settle"
    hold: str
    what: str
    charged: Cost
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Voided(Event):
    """A hold was released; its call never left."""

    kind: ClassVar[str] = "void"
    hold: str


@dataclass(frozen=True, slots=True)
class Charged(Event):
    """A hold was charged in full, since no usage record came."""

    kind: ClassVar[str] = "charge"
    hold: str
    what: str
    charged: Cost


@dataclass(frozen=True, slots=True)
class Overrun(Event):
    """A provider billed more than the bound of its call, by `excess`."""

    kind: ClassVar[str] = "overrun"
    hold: str
    what: str
    excess: Cost


def ended(receipt: Receipt, usage: Usage | None = None) -> Iterator[Event]:
    """Yield what the end of a hold that was charged is told as."""
    if receipt.estimated:
        yield Charged(receipt.id, receipt.what, receipt.charged)
    else:
        yield Settled(receipt.id, receipt.what, receipt.charged, usage)
    if receipt.overrun:
        yield Overrun(receipt.id, receipt.what, receipt.overrun)


@dataclass(frozen=True, slots=True)
class Retried(Event):
    """A step is tried again, or something else is done for it: a wait, a second call, a shorter conversation."""

    kind: ClassVar[str] = "retry"
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class TextDelta(Event):
    """A piece of a model's text; only of streamed runs."""

    kind: ClassVar[str] = "delta"
    step: str
    model: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted(Event):
    """A tool is called with `arguments`, the JSON text of the model."""

    kind: ClassVar[str] = "tool"
    call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolFinished(Event):
    """A tool gave `content` back, which the model reads."""

    kind: ClassVar[str] = "tool"
    call: str
    name: str
    content: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Verified(Event):
    """A reply was checked; `problems` is empty when it is valid.

    If it is a vote on the reply of the model `about`, `right` is what it says, None where it cannot be read.
    """

    kind: ClassVar[str] = "verify"
    step: str
    model: str
    problems: tuple[str, ...]
    about: str = ""
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A run ended with an answer."""

    kind: ClassVar[str] = "answer"
    status: Status
    stop_reason: str
    text: str
    spent: Cost


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """Something went wrong; the run goes on unless an answer says otherwise."""

    kind: ClassVar[str] = "error"
    where: str
    error: str


class Stamped(NamedTuple):
    """An event with its place in the trace; `time` is Unix time in seconds."""

    run: str
    seq: int
    time: float
    scope: str
    event: Event

    def to_json(self) -> str:
        """Return the line of the JSONL file."""
        event = self.event
        row: dict[str, Any] = {
            "v": VERSION,
            "run": self.run,
            "seq": self.seq,
            "time": round(self.time, 6),
            "kind": event.kind,
            "scope": self.scope,
        }
        for field in fields(event):
            if (value := getattr(event, field.name)) is not None or field.default is not None:
                row[field.name] = value
        return json.dumps(row, ensure_ascii=False, default=_plain)


class Sink(Protocol):
    """Where stamped events go."""

    def write(self, stamped: Stamped) -> None:
        """Take the next event."""
        ...

    def close(self) -> None:
        """Flush and release what the sink holds."""
        ...


class JsonlSink:
    """Appends a trace to a file, line by line, so that a crash loses at most the last one.

    The file is opened by the first event, and again by an event after `close`.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file: TextIO | None = None

    def write(self, stamped: Stamped) -> None:
        """Append one line."""
        if self._file is None:
            self._file = self._open()
        self._file.write(stamped.to_json() + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> TextIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # half a surrogate pair, which a model may write, becomes the JSON escape that reads back as it was
            return self._path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        except OSError as error:
            raise ConfigError(f"the trace cannot be written to {str(self._path)!r}: {error.strerror}") from error


def sink_of(given: Sink | str | Path) -> Sink:
    """Return `given`, a path as a JsonlSink. Raises ConfigError for what is neither a sink nor a path."""
    if isinstance(given, str | Path):
        return JsonlSink(given)
    if isinstance(given, type) or not all(callable(getattr(given, name, None)) for name in ("write", "close")):
        raise ConfigError(
            f"trace={given!r} takes no events; give the path of a JSONL file, or a sink: an object with"
            " write(stamped) and close()"
        )
    return given


class Trace:
    """Collects the events of one run in order and hands each to the sinks and the listener."""

    def __init__(
        self, run: str, sinks: tuple[Sink, ...] = (), listener: Callable[[Event], None] | None = None
    ) -> None:
        self.run = run
        self.events: list[Stamped] = []
        self._sinks, self._listener = sinks, listener

    def emit(self, scope: str, event: Event) -> None:
        """Record `event`, without the secrets in its texts, as happening in `scope`."""
        if type(event) not in _CLEAN:
            event = _redacted(event)
        stamped = Stamped(self.run, len(self.events), time.time(), scope, event)
        self.events.append(stamped)
        for sink in self._sinks:
            sink.write(stamped)
        if self._listener is not None:
            self._listener(event)

    @property
    def streaming(self) -> bool:
        """Whether somebody listens, so that text is worth streaming."""
        return self._listener is not None

    def close(self) -> None:
        """Close the sinks."""
        for sink in self._sinks:
            sink.close()


_CLEAN = frozenset((TextDelta, Reserved, Dispatched, Extended, Settled, Voided, Charged, Overrun))
"""Events without a foreign text: those of the ledger, and pieces that a StreamRedactor has been through."""


def _redacted(event: Event) -> Event:
    changed = {}
    kind: Any = type(event)
    for name in _text_fields(kind):
        value = getattr(event, name)
        if value and (redacted := redact_all(value)) is not value:
            changed[name] = redacted
    return replace(event, **changed) if changed else event


@cache
def _text_fields(kind: type[Any]) -> tuple[str, ...]:
    """The fields that may hold text of somebody else's: not amounts, numbers and flags."""
    return tuple(field.name for field in fields(kind) if field.type not in _NUMBERS)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Usage):  # the provider's own record repeats what the counts say
        counts = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "raw"}
        return {name: count for name, count in counts.items() if count}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no place in a trace")
