"""Outcome tables on disk: a folder with queries.jsonl.gz, outcomes.csv.gz and, optionally, models and responses.

- `queries.jsonl.gz`: query_id, dataset, task, query, one JSON object a line;
- `outcomes.csv.gz`: query_id, model, score in 0..1, input_tokens, output_tokens, cost_usd, and where there are
  any answer and latency_s; an empty cell is unknown;
- `models.json`: price_in_per_mtok and price_out_per_mtok (dollars per million tokens) by model, and
  `hidden_reasoning` where its tokens are not all of what is billed;
- `responses.jsonl.gz`: query_id, model, response.

A cost that is unknown is computed from tokens and prices where both are known; else the pair is left out and
counted. Some public metrics dip below 0: such a score counts as 0, and is counted too. An empty answer means that
none was found, unless an empty answer was ever right, as where the right answer may be an empty string.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from agentkit.errors import TableError
from agentkit.routers.estimators.table import Counts, Item, OutcomeTable
from agentkit.usage import Price

QUERIES, OUTCOMES, MODELS, RESPONSES = "queries.jsonl.gz", "outcomes.csv.gz", "models.json", "responses.jsonl.gz"
_NUMBERS = ("score", "input_tokens", "output_tokens", "cost_usd", "latency_s")
_NEEDED = ("query_id", "model", "score", "input_tokens", "output_tokens", "cost_usd")
_NOTHING: Mapping[str, str] = {}


def read_table(folder: Path | str, *, assumed_output: int | None = None) -> OutcomeTable:
    """Read the table in `folder`; `assumed_output` stands in for output tokens that are unknown.

    Raises TableError with file and line when something is missing or cannot be.
    """
    folder = Path(folder)
    items = _read_items(folder / QUERIES)
    prices = _read_prices(folder / MODELS)
    rows = _Rows({item.id: place for place, item in enumerate(items)}, prices, assumed_output)
    for line, row in _csv_rows(folder / OUTCOMES):
        rows.add(row, folder / OUTCOMES, line)
    responses = _read_responses(folder / RESPONSES, rows.places)
    return rows.table(folder.resolve().name, items, responses, _digest(folder))


class _Rows:
    """Collects the rows of outcomes.csv.gz and fills the matrices."""

    def __init__(self, places: Mapping[str, int], prices: Mapping[str, Price], assumed_output: int | None) -> None:
        self.places = places
        self._prices, self._assumed = prices, assumed_output
        self._cells: dict[tuple[int, str], tuple[float, ...]] = {}
        self._answers: list[dict[str, str]] = [{} for _ in places]
        self._has_answers = self._right_blank = False
        self._recorded = self._computed = self._left_out = self._raised = self._unscored = 0

    def add(self, row: Mapping[str, str], path: Path, line: int) -> None:
        query, model = row["query_id"], row["model"]
        if query not in self.places:
            raise TableError(f"query {query!r} is not in {QUERIES}", path, line)
        pair = self.places[query], model
        if pair in self._cells:
            raise TableError(f"{model!r} has a second outcome for query {query!r}; keep one", path, line)
        score, read, written, cost, latency = (_number(row.get(name), name, path, line) for name in _NUMBERS)
        if score > 1:
            raise TableError(f"score is between 0 and 1, not {score:g}", path, line)
        if score < 0:
            score = 0.0
            self._raised += 1
        if math.isnan(written) and self._assumed is not None:
            written = float(self._assumed)
        if math.isnan(cost):
            cost = self._price(model, read, written)
            self._computed += not math.isnan(cost + score)
        else:
            self._recorded += not math.isnan(score)
        if math.isnan(cost + score):
            self._unscored += math.isnan(score)
            score = cost = math.nan
            self._left_out += 1
        self._cells[pair] = score, read, written, cost, latency
        if "answer" in row:
            self._has_answers = True
            self._answers[pair[0]][model] = row["answer"]
            self._right_blank |= row["answer"] == "" and score > 0

    def table(
        self, name: str, items: tuple[Item, ...], responses: tuple[Mapping[str, str], ...], digest: str
    ) -> OutcomeTable:
        models = tuple(sorted({model for _, model in self._cells}))
        column = {model: place for place, model in enumerate(models)}
        cube = np.full((len(_NUMBERS), len(items), len(models)), np.nan)
        for (row, model), cell in self._cells.items():
            cube[:, row, column[model]] = cell
        score, read, written, cost, latency = cube
        answers = tuple(self._answers) if self._has_answers else ()
        counts = Counts(self._recorded, self._computed, self._left_out, self._raised, self._unscored)
        prices = {model: self._prices[model] for model in models if model in self._prices}
        return OutcomeTable(
            name=name,
            items=items,
            models=models,
            score=score,
            cost=cost,
            input_tokens=read,
            output_tokens=written,
            latency=latency,
            prices=prices,
            answers=answers,
            responses=responses,
            counts=counts,
            digest=digest,
            blank_is_failure=not self._right_blank,
        )

    def _price(self, model: str, read: float, written: float) -> float:
        price = self._prices.get(model)
        if price is None:
            return math.nan
        return (read * float(price.input) + written * float(price.output)) / 1_000_000


def _read_items(path: Path) -> tuple[Item, ...]:
    items: dict[str, Item] = {}
    for line, row in _json_lines(path):
        try:
            item = Item(*(str(row[name]) for name in ("query_id", "dataset", "task", "query")))
        except KeyError as missing:
            raise TableError(f"a query needs {missing.args[0]!r}", path, line) from None
        if item.id in items:
            raise TableError(f"query {item.id!r} occurs twice; ids are unique", path, line)
        items[item.id] = item
    if not items:
        raise TableError("there is no query", path, 1)
    return tuple(items.values())


def _read_prices(path: Path) -> dict[str, Price]:
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text("utf-8"), parse_float=Decimal, parse_int=Decimal)
        told = {name: row for name, row in rows.items() if not row.get("hidden_reasoning")}
        pairs = {name: (row.get("price_in_per_mtok"), row.get("price_out_per_mtok")) for name, row in told.items()}
        return {name: Price(*pair) for name, pair in pairs.items() if None not in pair}
    except json.JSONDecodeError as error:
        raise TableError(f"not JSON: {error.msg}", path, error.lineno) from error
    except (ValueError, AttributeError, InvalidOperation) as error:
        raise TableError(f"prices by model are expected: {error}", path, 1) from error


def _read_responses(path: Path, places: Mapping[str, int]) -> tuple[Mapping[str, str], ...]:
    if not path.is_file():
        return ()
    found: list[dict[str, str]] = [{} for _ in places]
    for line, row in _json_lines(path):
        try:
            found[places[str(row["query_id"])]][row["model"]] = str(row["response"])
        except KeyError as missing:
            raise TableError(f"unknown query or missing key {missing.args[0]!r}", path, line) from None
    return tuple(row or _NOTHING for row in found)


def _number(text: str | None, name: str, path: Path, line: int) -> float:
    """Read a cell; empty is unknown, as NaN."""
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value >= 0 or name == "score")):
        raise TableError(f"{name} is a number of 0 or more, or empty, not {text!r}", path, line)
    return value


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _opened(path) as lines:
        reader = csv.DictReader(_read_through(lines, path))
        if missing := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
            raise TableError(f"column {missing[0]!r} is missing", path, 1)
        for row in reader:
            if None in row.values() or None in row:
                raise TableError("the row has not as many cells as there are columns", path, reader.line_num)
            yield reader.line_num, row


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as lines:
        for number, line in enumerate(_read_through(lines, path), 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise TableError(f"not JSON: {error.msg}", path, number) from error
            if not isinstance(row, dict):
                raise TableError("a line is one JSON object", path, number)
            yield number, row


def _opened(path: Path) -> Any:
    try:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    except FileNotFoundError:
        raise TableError(
            "the file is missing; a table has queries.jsonl.gz and outcomes.csv.gz", path, 0
        ) from None


def _read_through(lines: Iterator[str], path: Path) -> Iterator[str]:
    """Yield the lines; a file that is not gzip, is cut or is not UTF-8 is an error of the table."""
    number = 0
    try:
        for number, line in enumerate(lines, 1):  # noqa: B007  # the number is for the error
            yield line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise TableError(f"cannot be read on: {error}", path, number + 1) from error


def _digest(folder: Path) -> str:
    """Return the SHA-256 of the table's files, each with its name and length."""
    found = hashlib.sha256()
    for name in (QUERIES, OUTCOMES, MODELS, RESPONSES):
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            found.update(f"{name} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()
