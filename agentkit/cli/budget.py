"""`agentkit budget`: what a ledger says, and whether it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from agentkit.budgets import Balance, Ledger, replay
from agentkit.cli.amounts import plain, shown
from agentkit.cli.console import out, print_json, table
from agentkit.cli.exits import ExitCode
from agentkit.cli.options import AsJson
from agentkit.errors import ConfigError

app = typer.Typer(help="Look into ledgers.", no_args_is_help=True)

Books = Annotated[str, typer.Argument(metavar="LEDGER", show_default=False, help="An SQLite file, or its URL.")]
Limits = Mapping[str, int]


@app.command()
def show(
    ledger: Books,
    scope: Annotated[str | None, typer.Option(metavar="NAME", help="Only this scope and those below it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print limit, held, allotted and spent of each scope."""
    with _open(ledger) as books:
        scopes = [row for row in _balances(books) if scope is None or f"{row[0]}/".startswith(f"{scope}/")]
    if scope is not None and not scopes:
        raise ConfigError(f"ledger {ledger!r} has no scope {scope!r}; leave --scope out to see all")
    if as_json:
        print_json({"scopes": [_as_json(*row) for row in scopes]})
        return
    made = table("scope", "resource", "limit>", "held>", "allotted>", "spent>")
    for name, limits, balance in scopes:
        for i, resource in enumerate(sorted({*limits, *+balance.held, *+balance.spent, *+balance.allotted})):
            made.add_row("" if i else name, *_row(resource, limits, balance))
    out.print(made)


@app.command()
def verify(ledger: Books) -> None:
    """Check every invariant of the books; print what is wrong, one line each."""
    with _open(ledger) as books:
        problems = anyio.run(books.verify)
    if problems:
        typer.echo("\n".join(problems))
        raise typer.Exit(ExitCode.FAILED)
    typer.echo(f"{ledger}: the books are right")


def _open(ledger: str) -> Ledger:
    path = ledger.removeprefix("sqlite:///")
    if not Path(path.partition("?")[0]).is_file():  # opening would create it
        raise ConfigError(f"there is no ledger {ledger!r}; name an SQLite file that a run wrote")
    return Ledger.open(f"sqlite:///{path}")


def _balances(ledger: Ledger) -> Iterator[tuple[str, Limits, Balance]]:
    events = ledger.events()
    balances = replay(events)
    opened = {event.scope: event.amounts for event in events if event.kind in ("open", "slice")}
    return ((name, opened[name], balance) for name, balance in balances.items())


def _as_json(name: str, limits: Limits, balance: Balance) -> dict[str, Any]:
    return {
        "scope": name,
        "limits": plain(limits),
        "held": plain(+balance.held),
        "allotted": plain(+balance.allotted),
        "spent": plain(+balance.spent),
    }


def _row(resource: str, limits: Limits, balance: Balance) -> Iterator[str]:
    yield resource
    yield shown(resource, limits[resource]).partition(" ")[0] if resource in limits else "none"
    for amounts in (balance.held, balance.allotted, balance.spent):
        yield shown(resource, amounts[resource]).partition(" ")[0]
