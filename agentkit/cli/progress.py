"""What a run is doing, on stderr while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from agentkit.cli.amounts import listed
from agentkit.cli.timeline import describe, left_out
from agentkit.costs import Cost
from agentkit.trace import (
    Charged,
    Composed,
    Event,
    Failed,
    Overrun,
    Retried,
    Routed,
    RunStarted,
    Settled,
    Sink,
    Stamped,
    ToolFinished,
    ToolStarted,
)

_WORTH_A_LINE = (Routed, ToolStarted, ToolFinished, Retried, Failed, Overrun)


class Progress:
    """A sink that prints a line for each decision and tool call, and how much of the budget is left.

    On a terminal what is left stands beside a spinner; elsewhere it ends the line.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Status("", console=console) if console.is_terminal else None
        self._start: RunStarted | None = None
        self._started_at = 0.0
        self._spent = Cost()

    def write(self, stamped: Stamped) -> None:
        """Show the event."""
        event = stamped.event
        if isinstance(event, RunStarted):
            self._start, self._started_at = event, stamped.time
            if self._spinner:
                self._spinner.start()
        elif isinstance(event, Settled | Charged):
            self._spent += event.charged
        if isinstance(event, Composed):
            for what in left_out(event):
                self._print(event.kind, what, "")
        if isinstance(event, _WORTH_A_LINE) and not _is_stop(event):
            self._print(event.kind, describe(event), self._left(stamped.time))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the console to somebody else inside the block."""
        if self._spinner:
            self._spinner.stop()
        yield
        if self._spinner:
            self._spinner.start()

    def close(self) -> None:
        """Stop the spinner."""
        if self._spinner:
            self._spinner.stop()

    def _print(self, kind: str, what: str, left: str) -> None:
        line = Text.assemble((f"{kind:<6} ", "cyan"), what.replace("\n", " "))
        if self._spinner:
            self._spinner.update(Text(left, "dim"))
        elif left:
            line.append(f"  [{left}]")
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    def _left(self, now: float) -> str:
        if self._start is None or not (self._start.limits or self._start.seconds):
            return ""
        limits, seconds = Cost(self._start.limits), self._start.seconds
        left = {name: limits[name] - min(limits[name], self._spent[name]) for name in self._start.limits}
        time_left = None if seconds is None else max(0.0, seconds - (now - self._started_at))
        return f"{listed(left, time_left)} left"


def _is_stop(event: Event) -> bool:
    return isinstance(event, Routed) and not event.model


class Sinks:
    """Hands every event to several sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def write(self, stamped: Stamped) -> None:
        """Hand the event on."""
        for sink in self._sinks:
            sink.write(stamped)

    def close(self) -> None:
        """Close them all."""
        for sink in self._sinks:
            sink.close()
