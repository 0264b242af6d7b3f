"""Public outcome tables in their own formats, written as a folder that `read_table` reads.

- `routerbench` (withmartian/routerbench): its wide table as CSV, with `prompt`, `eval_name` and by model the
  score, `MODEL|total_cost` and `MODEL|model_response`. The published file is a pickle, which can run code: export
  it first;
- `routellm` (lm-sys/RouteLLM): a CSV of responses or a folder of them, with `prompt`, a column of True and False
  by model and, where there is one, `MODEL_response`;
- `llmrouter` (ulab-uiuc/LLMRouter): routing data as JSON lines, a query and model a line, with `performance`; or
  the preprocessed JSON list of `question` and `scores`;
- `routerarena` (RouteWorks/RouterArena): a model's cached results as JSON lines, or a folder of them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError, TableError
from agentkit.routers.estimators.table_files import OUTCOMES, QUERIES, RESPONSES

_COLUMNS = ("query_id", "model", "score", "input_tokens", "output_tokens", "cost_usd")


@dataclass(frozen=True, slots=True)
class Record:
    """One model's outcome on one query; None is unknown. `query_id` is empty where the format has none."""

    text: str
    dataset: str
    task: str
    model: str
    score: float
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    response: str | None = None
    query_id: str = ""


def convert(format_: str, source: Path, folder: Path) -> int:
    """Read `source` in the format of that name and write a table to `folder`; returns the number of outcomes.

    Raises ConfigError for an unknown format or an existing table, TableError for what cannot be read.
    """
    if format_ not in FORMATS:
        raise ConfigError(f"there is no importer {format_!r}; there are {', '.join(FORMATS)}")
    if (folder / OUTCOMES).exists():
        raise ConfigError(f"{folder} already holds a table; name another folder")
    records = list(FORMATS[format_](source))
    if not records:
        raise TableError("there is no outcome in it", source, 0)
    _write(records, folder)
    return len(records)


def _routerbench(source: Path) -> Iterator[Record]:
    for line, row in _csv(source):
        models = [name for name in row if f"{name}|total_cost" in row]
        if not models:
            raise TableError("no column is called MODEL|total_cost; is this RouterBench's wide table?", source, 1)
        for model in models:
            if row[model] != "":
                yield Record(
                    text=row["prompt"],
                    dataset="routerbench",
                    task=row.get("eval_name", ""),
                    model=model,
                    score=_score(row[model], source, line),
                    cost_usd=_number(row[f"{model}|total_cost"], source, line),
                    response=row.get(f"{model}|model_response"),
                    query_id=row.get("sample_id", ""),
                )


def _routellm(source: Path) -> Iterator[Record]:
    for path in _files(source, "*.csv"):
        for _, row in _csv(path):
            if "prompt" not in row:
                raise TableError("column 'prompt' is missing", path, 1)
            for model, cell in row.items():
                if cell in ("True", "False"):
                    response = row.get(f"{model}_response")
                    yield Record(
                        row["prompt"], "routellm", path.stem, model, float(cell == "True"), response=response
                    )


def _llmrouter(source: Path) -> Iterator[Record]:
    if source.suffix == ".json":
        for number, row in enumerate(_json(source), 1):  # the line in errors is the place in the list
            text = _field(row, "question", source, number)
            for model, score in _object(_field(row, "scores", source, number), source, number).items():
                yield Record(text, "llmrouter", "", model, _score(score, source, number))
        return
    for line, row in _json_lines(source):
        read, written = row.get("input_tokens"), row.get("output_tokens")
        yield Record(
            text=_field(row, "query", source, line),
            dataset="llmrouter",
            task=str(row.get("task_name", "")),
            model=_field(row, "model_name", source, line),
            score=_score(_field(row, "performance", source, line), source, line),
            input_tokens=read,
            output_tokens=written,
            cost_usd=row.get("cost"),
            response=row.get("response"),
        )


def _routerarena(source: Path) -> Iterator[Record]:
    for path in _files(source, "*.jsonl"):
        for line, row in _json_lines(path):
            result = _object(row.get("evaluation_result") or {}, path, line)
            usage = _object(row.get("token_usage") or {}, path, line)
            if result.get("score") is not None:
                query = str(_field(row, "global_index", path, line))
                yield Record(
                    text=_field(row, "question", path, line),
                    dataset="routerarena",
                    task=query.rpartition("_")[0],
                    model=_field(row, "llm_selected", path, line),
                    score=_score(result["score"], path, line),
                    input_tokens=usage.get("input_tokens"),
                    output_tokens=usage.get("output_tokens"),
                    cost_usd=result.get("inference_cost"),
                    response=row.get("generated_answer"),
                    query_id=query,
                )


FORMATS: Mapping[str, Callable[[Path], Iterator[Record]]] = {
    "routerbench": _routerbench,
    "routellm": _routellm,
    "llmrouter": _llmrouter,
    "routerarena": _routerarena,
}
"""The importers by the name of their format."""


def _write(records: list[Record], folder: Path) -> None:
    """Write the three files; queries without an id get one, and the second outcome of a pair is dropped."""
    ids: dict[tuple[str, str, str], str] = {}
    queries, rows, responses = [], [], []
    pairs: set[tuple[str, str]] = set()
    for record in records:
        key = record.query_id, record.task, record.text
        if key not in ids:
            ids[key] = record.query_id or f"{record.dataset}-{len(ids)}"
            queries.append(
                {"query_id": ids[key], "dataset": record.dataset, "task": record.task, "query": record.text}
            )
        query = ids[key]
        if (query, record.model) in pairs:
            continue
        pairs.add((query, record.model))
        amounts = (record.input_tokens, record.output_tokens, record.cost_usd)
        rows.append([query, record.model, record.score, *("" if amount is None else amount for amount in amounts)])
        if record.response:
            responses.append({"query_id": query, "model": record.model, "response": record.response})
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    _gzip(folder / OUTCOMES, table.getvalue())
    _gzip(folder / QUERIES, "".join(f"{json.dumps(query)}\n" for query in queries))
    if responses:
        _gzip(folder / RESPONSES, "".join(f"{json.dumps(response)}\n" for response in responses))


def _gzip(path: Path, text: str) -> None:
    """Write without a time stamp, so that the same table has the same hash."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        file.write(text.encode())


def _files(source: Path, pattern: str) -> list[Path]:
    return sorted(source.glob(pattern)) if source.is_dir() else [source]


def _csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # prompts are longer than the default limit of a cell
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            for row in reader:
                yield reader.line_num, {name: cell or "" for name, cell in row.items() if name is not None}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot be read as CSV: {error}", path, 0) from error


def _json(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"cannot be read as JSON: {error}", path, 0) from error
    if not isinstance(rows, list):
        raise TableError("a JSON list of objects is expected", path, 0)
    return [_object(row, path, number) for number, row in enumerate(rows, 1)]


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield number, _object(json.loads(line), path, number)
                except ValueError as error:
                    raise TableError(f"not JSON: {error}", path, number) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"cannot be read: {error}", path, 0) from error


def _object(value: Any, path: Path, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TableError(f"a JSON object is expected, not {value!r:.40}", path, line)
    return value


def _field(row: Mapping[str, Any], name: str, path: Path, line: int) -> Any:
    if name not in row:
        raise TableError(f"{name!r} is missing", path, line)
    return row[name]


def _score(cell: Any, path: Path, line: int) -> float:
    value = _number(cell, path, line)
    if value is None or value > 1:
        raise TableError(f"a score is a number up to 1, not {cell!r}", path, line)
    return value


def _number(cell: Any, path: Path, line: int) -> float | None:
    if cell in ("", None):
        return None
    try:
        return float({"True": 1, "False": 0}.get(cell, cell) if isinstance(cell, str) else cell)
    except (TypeError, ValueError):
        raise TableError(f"a number is expected, not {cell!r}", path, line) from None
