"""Reads tables for a replay: which models take part, what is assumed, and what to tell people about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agentkit.errors import ConfigError, TableError
from agentkit.evals.replay.folds import Fold, Split, folds
from agentkit.routers.estimators import OutcomeTable, read_table

COVERAGE = 0.8
"""Least share of queries with an outcome for a model to take part."""
ASSUMED_OUTPUT = 200
"""Output tokens of a call in a table that knows neither costs nor output tokens."""


def prepare(
    train: Path, test: Path | None, *, split: Split = "query", count: int = 5, coverage: float = COVERAGE
) -> tuple[list[Fold], list[str]]:
    """Return what is fitted and replayed, and notes for people; without `test` the table is cross-validated.

    Only models that cover enough of the training queries (and occur in `test`) take part; queries without any
    outcome are left out, and of training those whose text is in `test`. Raises TableError and ConfigError.
    """
    table, notes = _read(train)
    kept = table.well_covered(coverage)
    if test is None:
        kept = _with_outcomes(kept, train)
        notes += _about(table, kept, train)
        return list(folds(kept, split, count=count)), notes
    other, more = _read(test)
    shared = [model for model in kept.models if model in other.models]
    fitted, replayed = _with_outcomes(kept.only(shared), train), _with_outcomes(other.only(shared), test)
    notes += _about(table, fitted, train) + more + _about(other, replayed, test)
    asked = set(replayed.texts)
    unseen = [row for row, text in enumerate(fitted.texts) if text not in asked]
    if known := len(fitted.items) - len(unseen):
        notes.append(f"{train}: {known:,} queries that {test} has too are not fitted on")
        fitted = fitted.rows(unseen)
    if not unseen:
        raise ConfigError(f"all queries of {train} are in {test} too; nothing is left to fit on")
    return [Fold(fitted, replayed, np.arange(len(replayed.items)))], notes


def _read(folder: Path) -> tuple[OutcomeTable, list[str]]:
    """Read a table; one that knows no cost and no output tokens is read again with ASSUMED_OUTPUT."""
    table = read_table(folder)
    if np.isnan(table.cost).all() and np.isnan(table.output_tokens).all():
        assumed = f"{folder}: no costs and no output tokens; each call is priced at {ASSUMED_OUTPUT} output tokens"
        return read_table(folder, assumed_output=ASSUMED_OUTPUT), [assumed]
    return table, []


def _with_outcomes(table: OutcomeTable, folder: Path) -> OutcomeTable:
    if not table.models:
        raise TableError("no model covers enough of the queries; lower --coverage", folder, 0)
    return table.rows(np.flatnonzero(table.known.any(axis=1)))


def _about(table: OutcomeTable, kept: OutcomeTable, folder: Path) -> list[str]:
    return list(_notes(table, kept, folder))


def _notes(table: OutcomeTable, kept: OutcomeTable, folder: Path) -> Iterator[str]:
    yield f"{folder}: {len(kept.items):,} queries, {len(kept.models)} models"
    if table.counts.loss:
        yield f"{folder}: {table.counts.loss}"
    if len(kept.items) < len(table.items):
        yield f"{folder}: {len(table.items) - len(kept.items):,} queries without any outcome left out"
    if gone := sorted(set(table.models) - set(kept.models)):
        yield f"{folder}: {len(gone)} models left out: {_listed(gone)}"


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
