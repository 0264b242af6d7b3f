"""Where the command line writes: data to stdout, progress to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

# Off a terminal lines are so long that a row is a line.
_LONG = 1_000
out = Console(emoji=False, highlight=False, markup=False, width=None if sys.stdout.isatty() else _LONG)
err = Console(
    emoji=False, highlight=False, markup=False, width=None if sys.stderr.isatty() else _LONG, stderr=True
)


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the house's plain style; a column whose name ends in `>` is right-aligned."""
    made = Table(
        box=None, pad_edge=False, title=title, title_justify="left", title_style="bold", header_style="dim"
    )
    for column in columns:
        made.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left")
    return made
