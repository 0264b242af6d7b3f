"""`agentkit budget`: what a ledger says, whether it is right, and how a bill corrects it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from agentkit.budgets import Balance, Ledger, replay
from agentkit.cli.amounts import brief, plain, shown
from agentkit.cli.bill import Bill, billed_amounts, read_bill
from agentkit.cli.console import err, out, print_json, table
from agentkit.cli.exits import ExitCode
from agentkit.cli.options import AsJson
from agentkit.cli.waterfall import draw, waterfall
from agentkit.errors import BudgetError, ConfigError
from agentkit.types import Receipt

app = typer.Typer(help="Look into ledgers and correct them.", no_args_is_help=True)

Books = Annotated[str, typer.Argument(metavar="LEDGER", show_default=False, help="An SQLite file, or its URL.")]
Limits = Mapping[str, int]


@app.command()
def show(
    ledger: Books,
    scope: Annotated[str | None, typer.Option(metavar="NAME", help="Only this scope and those below it.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Also draw where one scope's budget went: .svg or .png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print limit, held, allotted and spent of each scope."""
    with _open(ledger) as books:
        scopes = [row for row in _balances(books) if scope is None or f"{row[0]}/".startswith(f"{scope}/")]
        if scope is not None and not scopes:
            raise ConfigError(f"ledger {ledger!r} has no scope {scope!r}; leave --scope out to see all")
        if plot is not None:
            name = scope or _only_root(books)
            if name not in [row[0] for row in scopes]:
                raise ConfigError(f"{name!r} only begins the names of scopes; name one of them to draw it")
            draw(waterfall(books, name), name, plot)
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


@app.command()
def reconcile(
    ledger: Books,
    hold: Annotated[
        str | None, typer.Argument(metavar="HOLD", show_default=False, help="The id of a hold.")
    ] = None,
    usd: Annotated[str | None, typer.Option(metavar="DOLLARS", help="What HOLD was billed.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="The tokens HOLD was billed.")] = None,
    bill: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or JSONL with id, usd, tokens and other resources.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Correct charges to what the provider billed; what a bill does not name stays charged."""
    if bill is not None and (hold, usd, tokens) == (None, None, None):
        billed = read_bill(bill)
    elif bill is None and hold is not None:
        billed = {hold: billed_amounts({"usd": usd, "tokens": tokens}, f"hold {hold!r}")}
    else:
        raise typer.BadParameter("give either a HOLD with --usd or --tokens, or a whole --bill")
    with _open(ledger) as books:
        corrected, refused = anyio.run(_reconcile, books, billed)
    if as_json:
        print_json({"corrections": [_correction(*pair) for pair in corrected], "refused": refused})
    elif corrected:
        made = table("hold", "scope", "was charged", "is charged")
        for before, after in corrected:
            made.add_row(after.id, after.scope, brief(before.charged) if before else "held", brief(after.charged))
        out.print(made)
    for reason in refused.values():
        err.print(reason, soft_wrap=True)
    if refused:
        raise typer.Exit(ExitCode.REFUSED)


async def _reconcile(ledger: Ledger, bill: Bill) -> tuple[list[tuple[Receipt | None, Receipt]], dict[str, str]]:
    """Correct what can be; returns the receipts before and after, and why the other holds were refused."""
    corrected, refused = [], {}
    for hold, billed in bill.items():
        try:
            corrected.append((ledger.receipt(hold), await ledger.reconcile(hold, billed)))
        except BudgetError as error:
            refused[hold] = str(error)
    return corrected, refused


def _correction(before: Receipt | None, after: Receipt) -> dict[str, Any]:
    return {
        "hold": after.id,
        "scope": after.scope,
        "before": plain(before.charged) if before else None,
        "charged": plain(after.charged),
        "overrun": plain(after.overrun),
    }


def _only_root(ledger: Ledger) -> str:
    roots = [event.scope for event in ledger.events() if event.kind == "open" and not event.parent]
    if len(roots) != 1:
        raise ConfigError(f"the ledger has {len(roots)} scopes at the top; name one with --scope")
    return roots[0]


def _open(ledger: str) -> Ledger:
    path = ledger.removeprefix("sqlite:///")
    if not Path(path.partition("?")[0]).is_file():  # opening would create it
        raise ConfigError(f"there is no ledger {ledger!r}; name an SQLite file that a run wrote")
    # To look must not charge: what a dead process may have been billed stays held for who knows the bill.
    return Ledger.open(f"sqlite:///{path}", orphans="keep")


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
