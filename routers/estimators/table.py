"""Recorded outcomes of real models on real queries: what estimators are fitted on and routers are replayed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agentkit.routers.base import Votes
from agentkit.types import Completion, ModelCard
from agentkit.usage import Price

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
T = TypeVar("T")
_MATRICES = ("score", "cost", "input_tokens", "output_tokens", "latency")


@dataclass(frozen=True, slots=True)
class Item:
    """A recorded query: its id, where it comes from, and its text."""

    id: str
    dataset: str
    task: str
    text: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of a table: costs as recorded, computed from tokens and prices, or left out.

    `raised` are scores below 0 that count as 0, `unscored` those of the left out that have no score.
    """

    recorded: int = 0
    computed: int = 0
    left_out: int = 0
    raised: int = 0
    unscored: int = 0

    @property
    def loss(self) -> str:
        """How many were left out and why, in words; empty where none was."""
        reasons = (
            (self.left_out - self.unscored, "no cost, and no tokens and prices to compute it from"),
            (self.unscored, "no score"),
        )
        return "; ".join(f"{count:,} outcomes left out: {reason}" for count, reason in reasons if count)


@dataclass(frozen=True, slots=True)
class Voted:
    """Votes on one reply of a model, and the score, 0..1, of that very reply."""

    votes: Votes
    score: float


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Scores and costs of `models` (columns) on `items` (rows); NaN in `score` and `cost` is a pair left out.

    `score` is in 0..1, `cost` in dollars, `latency` in seconds; tokens and latency are NaN where unknown.
    `answers` and `responses` hold by row what is kept of each model's reply; `replies` are whole ones, with calls
    of tools and log-probabilities, of tables that are made in memory. `votes` are those on each of a model's
    replies to the query, where any were asked for. `digest` is the SHA-256 of what was read.
    """

    name: str
    items: tuple[Item, ...]
    models: tuple[str, ...]
    score: Floats
    cost: Floats
    input_tokens: Floats
    output_tokens: Floats
    latency: Floats
    prices: Mapping[str, Price] = field(default_factory=dict)
    answers: tuple[Mapping[str, str], ...] = ()
    responses: tuple[Mapping[str, str], ...] = ()
    replies: tuple[Mapping[str, Completion], ...] = ()
    votes: tuple[Mapping[str, tuple[Voted, ...]], ...] = ()
    counts: Counts = field(default_factory=Counts)
    digest: str = ""
    blank_is_failure: bool = False

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which pairs can be replayed, shape (items, models)."""
        return ~np.isnan(self.score)

    def blank(self, row: int, model: str) -> bool:
        """Tell whether an answer was looked for in the model's reply and none was found."""
        return self.blank_is_failure and bool(self.answers) and self.answers[row].get(model) == ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The queries' texts."""
        return tuple(item.text for item in self.items)

    @property
    def coverage(self) -> Floats:
        """Share of the queries with an outcome, by model."""
        shares: Floats = self.known.mean(axis=0)
        return shares

    def rows(self, chosen: Sequence[int] | Indices) -> OutcomeTable:
        """Return the table of the `chosen` rows, in that order."""
        places = [int(place) for place in chosen]
        return replace(
            self,
            items=tuple(self.items[place] for place in places),
            answers=tuple(self.answers[place] for place in places) if self.answers else (),
            responses=tuple(self.responses[place] for place in places) if self.responses else (),
            replies=tuple(self.replies[place] for place in places) if self.replies else (),
            votes=tuple(self.votes[place] for place in places) if self.votes else (),
            **{name: value[places] for name, value in self._matrices().items()},
        )

    def only(self, models: Sequence[str]) -> OutcomeTable:
        """Return the table of these `models`, in that order."""
        columns = [self.models.index(model) for model in models]
        matrices = {name: value[:, columns] for name, value in self._matrices().items()}
        votes = tuple({model: row[model] for model in models if model in row} for row in self.votes)
        return replace(self, models=tuple(models), votes=votes, **matrices)

    def tried(self) -> OutcomeTable:
        """Return the table without models that have no outcome at all."""
        return self.only([model for model, share in zip(self.models, self.coverage, strict=True) if share])

    def well_covered(self, least: float) -> OutcomeTable:
        """Return the table without models that lack outcomes on more than 1 − `least` of the queries."""
        return self.only(
            [model for model, share in zip(self.models, self.coverage, strict=True) if share >= least]
        )

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the models as a router sees them."""
        return tuple(ModelCard(model, "table", model, self.prices.get(model)) for model in self.models)

    def _matrices(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _MATRICES}


def join(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """Return one table of all queries over the union of the models; raises ValueError when ids or prices clash."""
    if len(tables) == 1:
        return tables[0]
    models = tuple(sorted({model for table in tables for model in table.models}))
    items = tuple(item for table in tables for item in table.items)
    if len({item.id for item in items}) < len(items):
        raise ValueError("the tables share query ids; give each query its own")
    prices: dict[str, Price] = {}
    for table in tables:
        for model, price in table.prices.items():
            if prices.setdefault(model, price) != price:
                raise ValueError(
                    f"the tables have different prices for {model!r}; recorded costs would not compare"
                )
    return OutcomeTable(
        name="+".join(dict.fromkeys(table.name for table in tables)),
        items=items,
        models=models,
        prices=prices,
        answers=_texts([table.answers for table in tables], tables),
        responses=_texts([table.responses for table in tables], tables),
        replies=_texts([table.replies for table in tables], tables),
        votes=_texts([table.votes for table in tables], tables),
        counts=Counts(*(sum(parts) for parts in zip(*(astuple(table.counts) for table in tables), strict=True))),
        blank_is_failure=all(table.blank_is_failure for table in tables),
        digest="+".join(dict.fromkeys(table.digest for table in tables)),
        **{name: np.concatenate([_widen(table, name, models) for table in tables]) for name in _MATRICES},
    )


def _widen(table: OutcomeTable, name: str, models: tuple[str, ...]) -> Floats:
    wide = np.full((len(table.items), len(models)), np.nan)
    wide[:, [models.index(model) for model in table.models]] = getattr(table, name)
    return wide


def _texts(
    parts: Sequence[tuple[Mapping[str, T], ...]], tables: Sequence[OutcomeTable]
) -> tuple[Mapping[str, T], ...]:
    if not any(parts):
        return ()
    return tuple(
        row for part, table in zip(parts, tables, strict=True) for row in (part or ({},) * len(table.items))
    )
