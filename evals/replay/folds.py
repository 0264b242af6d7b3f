"""What of a table is fitted on and what is replayed: by query, by dataset (out of distribution), by model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentkit.errors import ConfigError
from agentkit.routers.estimators import OutcomeTable

Split = Literal["query", "dataset", "model"]
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """One division: fit on `train`, replay `test`; `rows` are the test's rows in the whole table."""

    train: OutcomeTable
    test: OutcomeTable
    rows: np.ndarray
    unseen: tuple[str, ...] = ()


def folds(table: OutcomeTable, split: Split = "query", *, count: int = FOLDS, seed: int = 0) -> Iterator[Fold]:
    """Divide `table`; every query is replayed once.

    - `query`: at random into `count` parts; queries of the same text stay together;
    - `dataset`: each task in turn is unseen, by dataset where the table has several, in at most `count` groups;
    - `model`: queries as above, and in each part other models (`unseen`) have no outcomes in training.

    Raises ConfigError for a table that has not that many parts.
    """
    if split == "dataset":
        group, unseen_by_part = _by_task(table, count), None
    else:
        group = _by_text(table, count, seed)
        unseen_by_part = _by_model(table, count, seed) if split == "model" else None
    parts = np.unique(group)
    if len(parts) < 2:
        raise ConfigError(f"table {table.name!r} cannot be divided by {split}: all of it is one part")
    for part in parts:
        rows = np.flatnonzero(group == part)
        train = table.rows(np.flatnonzero(group != part))
        unseen = unseen_by_part[part % count] if unseen_by_part else ()
        if unseen:
            train = train.only([model for model in table.models if model not in unseen])
        yield Fold(train, table.rows(rows), rows, unseen)


def _by_text(table: OutcomeTable, count: int, seed: int) -> np.ndarray:
    places = {text: place for place, text in enumerate(dict.fromkeys(table.texts))}
    if len(places) < count:
        raise ConfigError(f"table {table.name!r} has {len(places)} different queries, too few for {count} parts")
    part = np.random.default_rng(seed).permutation(len(places)) % count
    return np.array([part[places[text]] for text in table.texts])


def _by_task(table: OutcomeTable, count: int) -> np.ndarray:
    """Deal whole tasks (datasets, where there are enough) to parts, the largest first, to the smallest part."""
    keys = [item.dataset for item in table.items]
    if len(set(keys)) < 2:
        keys = [item.task for item in table.items]
    sizes = {key: keys.count(key) for key in sorted(set(keys))}
    parts = [0] * min(count, len(sizes))
    part_of: dict[str, int] = {}
    for key in sorted(sizes, key=lambda key: (-sizes[key], key)):
        part_of[key] = parts.index(min(parts))
        parts[part_of[key]] += sizes[key]
    return np.array([part_of[key] for key in keys])


def _by_model(table: OutcomeTable, count: int, seed: int) -> list[tuple[str, ...]]:
    """Deal the models to parts; with fewer than three models none can be spared."""
    if len(table.models) < 3:
        raise ConfigError(f"table {table.name!r} has {len(table.models)} models; leaving one out takes three")
    order = np.random.default_rng(seed).permutation(len(table.models))
    return [tuple(table.models[place] for place in order[part::count]) for part in range(count)]
