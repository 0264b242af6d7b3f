"""`agentkit bench`: measurements of agentkit beside its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from agentkit.cli.console import err, out, print_json, table
from agentkit.cli.options import AsJson
from agentkit.evals.benches.base import BENCHES

if TYPE_CHECKING:
    from agentkit.evals.benches import BenchResult


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help=f"One of {', '.join(BENCHES)}.")],
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="A small run, to test the bench itself.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Seeds of benches that draw.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Measurements of the others.")
    ] = None,
    install: Annotated[bool, typer.Option(help="Create the environments of peers that are absent.")] = True,
) -> None:
    """Run a bench and print what it measured."""
    from agentkit.evals.benches import Options, load

    options = Options(quick=quick, seeds=seeds, repeats=repeats, install=install, progress=_report)
    result = load(name)(options)
    if as_json:
        print_json(result.to_json())
    else:
        out.print(_table(result))


def _report(line: str) -> None:
    err.print(line, soft_wrap=True)


def _table(result: BenchResult) -> Table:
    made = table(
        "metric", "value>", "95 % interval>", *(f"{peer}>" for peer in result.baselines), title=result.bench
    )
    for key, value in result.metrics.items():
        interval = result.intervals.get(key)
        peers = (_number(metrics.get(key)) for metrics in result.baselines.values())
        made.add_row(key, _number(value), " – ".join(map(_number, interval or ())), *peers)
    return made


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"
