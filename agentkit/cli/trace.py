"""`agentkit trace`: what runs did, read back from their trace files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

import agentkit.trace
from agentkit.cli.console import out
from agentkit.cli.timeline import describe
from agentkit.errors import ConfigError
from agentkit.trace import VERSION, Event, Failed, Stamped, TextDelta

app = typer.Typer(help="Look into traces.", no_args_is_help=True)

_EVENTS = [kind for kind in vars(agentkit.trace).values() if isinstance(kind, type) and issubclass(kind, Event)]
_STYLES = {"answer": "bold green", "error": "red", "overrun": "red", "tool": "cyan", "route": "magenta"}


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", exists=True, dir_okay=False, help="A trace file.")],
    run: Annotated[str | None, typer.Option(metavar="ID", help="Only the run whose id starts like this.")] = None,
) -> None:
    """Print what happened in each run, with the seconds since it began."""
    events = [stamped for stamped in _read(path) if stamped.run.startswith(run or "")]
    if not events:
        raise ConfigError(f"{path} has no run {run!r}" if run else f"{path} has no events")
    # runs that went on at the same time share a file line by line
    for name, of_run in groupby(sorted(events, key=lambda stamped: (stamped.run, stamped.seq)), lambda s: s.run):
        _show_run(name, list(of_run))


def _show_run(name: str, events: list[Stamped]) -> None:
    out.print(Text(name, "bold"))
    for stamped in events:
        event = stamped.event
        if isinstance(event, TextDelta):
            continue
        line = Text(f"{stamped.time - events[0].time:9.3f}  ", "dim")
        line.append(f"{event.kind:<9}", _STYLES.get(event.kind, ""))
        line.append(describe(event).replace("\n", " "))
        out.print(line, soft_wrap=True)
    if events[-1].event.kind != "answer":
        out.print(Text("the run ended without an answer", "yellow"))


def _read(path: Path) -> Iterator[Stamped]:
    # bytes, since lines of text would also end where an answer has U+2028 or the like
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
            version = row.pop("v")
            if version != VERSION:
                raise ConfigError(f"{path}:{number}: version {version} is not readable here; use a newer agentkit")
            yield _stamped(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}:{number} is not an event of a trace; name a trace file, or delete the line"
            ) from error


def _stamped(row: dict[str, Any]) -> Stamped:
    run, seq, time, kind, scope = (row.pop(name) for name in ("run", "seq", "time", "kind", "scope"))
    return Stamped(run, seq, time, scope, _event(kind, row))


def _event(kind: str, row: Mapping[str, Any]) -> Event:
    for event in _EVENTS:
        names = {field.name: field.default is MISSING for field in fields(event)}
        if event.kind == kind and {name for name, needed in names.items() if needed} <= row.keys() <= names.keys():
            return event(**row)
    return Failed("trace", f"unknown event {kind}")
