"""A provider's bill as a file: which hold was billed what."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentkit.costs import Cost, nano_usd
from agentkit.errors import ConfigError

Bill = dict[str, dict[str, int]]


def read_bill(path: Path) -> Bill:
    """Read a CSV file with a header, or a JSONL file; a row has `id`, and `usd` in dollars, `tokens` and so on.

    Raises ConfigError with the line that is wrong.
    """
    bill: Bill = {}
    for line, row in _rows(path):
        place = f"{path}:{line}"
        hold = row.pop("id", None)
        if not isinstance(hold, str) or not hold:
            raise ConfigError(f"{place}: a row of a bill needs the id of a hold under 'id'")
        if hold in bill:
            raise ConfigError(f"{place}: hold {hold!r} is billed twice; add its rows up")
        bill[hold] = billed_amounts(row, place)
    return bill


def billed_amounts(row: Mapping[str, Any], place: str) -> dict[str, int]:
    """Return what a row bills, in units of the ledger: what is empty is not billed, a zero is billed as zero."""
    given = {name: value for name, value in row.items() if value not in (None, "")}
    try:
        billed = {name: nano_usd(value) if name == "usd" else int(str(value)) for name, value in given.items()}
        Cost(billed)
    except (ArithmeticError, ValueError) as error:
        raise ConfigError(
            f"{place}: {error}; amounts are dollars under 'usd' and whole numbers elsewhere"
        ) from error
    if not billed:
        raise ConfigError(f"{place}: nothing is billed; give an amount, 0 if it was free")
    return billed


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the bill {str(path)!r}: {error}") from error
    lines = text.removesuffix("\n").split("\n")  # a text may hold other characters that count as line ends
    if path.suffix == ".csv":
        rows = csv.DictReader(lines, restkey="")
        for cells in rows:
            if "" in cells:
                raise ConfigError(f"{path}:{rows.line_num}: the row has more values than the header has names")
            yield rows.line_num, dict(cells)
        return
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: not JSON ({error}); write one object a line") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}:{number}: not an object; write one object a line")
        yield number, row
