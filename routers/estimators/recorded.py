"""The executor's loop over recorded outcomes: the same `Router.next`, every call charged at its recorded cost.

What a router is told is what it would be told live: the query's text, the models' cards, the bound of each call,
the replies so far as they were recorded, and what is left of the budget. Never a score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentkit.costs import NANO, Cost
from agentkit.errors import RoutingError
from agentkit.messages import assistant
from agentkit.routers.base import Call, Outcome, Query, Router
from agentkit.routers.estimators.table import Floats, Indices, OutcomeTable
from agentkit.types import Completion, ModelCard, ScopeView
from agentkit.usage import Usage

_MOST_CALLS = 64  # on one query: a router that does not stop is broken


@dataclass(frozen=True, slots=True)
class Stage:
    """A table made ready for replay: queries and replies as routers see them, scores and costs (nano-dollars)."""

    table: OutcomeTable
    cards: tuple[ModelCard, ...]
    columns: Mapping[str, int]
    queries: tuple[Query, ...]
    scores: tuple[Mapping[str, float], ...]
    outcomes: tuple[Mapping[str, Outcome], ...]

    @classmethod
    def of(cls, table: OutcomeTable) -> Stage:
        """Build what is replayed, once for all routers.

        A call's bound is what its prompt costs, where the model has a price, and the dearest recorded reply of the
        model: as sound as a bound at the output cap, and no looser than live, where the prompt is known.
        """
        columns = {model: column for column, model in enumerate(table.models)}
        nano = np.ceil(np.nan_to_num(table.cost) * NANO)
        prompts = _prompts(table)
        bounds = np.ceil(prompts + (nano - prompts).max(axis=0, initial=0)).astype(int).tolist()
        known, tokens = table.known.tolist(), _tokens(table)
        queries, scores, outcomes = [], [], []
        for row, text in enumerate(table.texts):
            able = {model: column for model, column in columns.items() if known[row][column]}
            queries.append(Query(text, {model: Cost(usd=bounds[row][at]) for model, at in able.items()}))
            scores.append({model: float(table.score[row, column]) for model, column in able.items()})
            outcomes.append(
                {m: _outcome(table, row, at, tokens[row][at], int(nano[row, at])) for m, at in able.items()}
            )
        return cls(table, table.cards(), columns, tuple(queries), tuple(scores), tuple(outcomes))


@dataclass(frozen=True, slots=True)
class Played:
    """What came of each query: dollars, score, and which models were called, shape (queries, models)."""

    cost: Floats
    score: Floats
    called: NDArray[np.bool_]


def play(
    router: Router, stage: Stage, *, order: Sequence[int] | Indices | None = None, budget: float | None = None
) -> Played:
    """Route every query in `order`, under a hard `budget` in dollars for all of them if one is given.

    Raises RoutingError when the router asks for a call that cannot be made, or does not stop.
    """
    count = len(stage.queries)
    cost, score, called = np.zeros(count), np.zeros(count), np.zeros((count, len(stage.cards)), dtype=np.bool_)
    left = None if budget is None else int(budget * NANO)
    for row in range(count) if order is None else map(int, order):
        spent, score[row], seen = _route(router, stage, row, left)
        cost[row] = spent / NANO
        called[row, [stage.columns[outcome.model] for outcome in seen]] = True
        left = None if left is None else left - spent
    return Played(cost, score, called)


def play_each(routers: Sequence[Router], stage: Stage) -> list[Played]:
    """Route each query by all of `routers`, without a budget: what an estimator learns of it serves them all."""
    shape = len(routers), len(stage.queries)
    cost, score, called = np.zeros(shape), np.zeros(shape), np.zeros((*shape, len(stage.cards)), dtype=np.bool_)
    for row in range(len(stage.queries)):
        for place, router in enumerate(routers):
            spent, score[place, row], seen = _route(router, stage, row, None)
            cost[place, row] = spent / NANO
            called[place, row, [stage.columns[outcome.model] for outcome in seen]] = True
    return [Played(*parts) for parts in zip(cost, score, called, strict=True)]


def _route(router: Router, stage: Stage, row: int, left: int | None) -> tuple[int, float, list[Outcome]]:
    """Return nano-dollars spent, score of the answer and the calls made for one query."""
    query, scores, outcomes = stage.queries[row], stage.scores[row], stage.outcomes[row]
    seen: list[Outcome] = []
    spent = 0
    view = _view(left)
    while len(seen) < _MOST_CALLS:
        decision = router.next(query, stage.cards, seen, view)
        if not isinstance(decision, Call):
            return spent, 0.0 if decision.answer is None else scores[seen[decision.answer].model], seen
        if decision.model not in outcomes or not query.fits(decision.model, view):
            raise RoutingError(f"the router chose {decision.model!r}, which cannot be called on this query")
        if decision.ask is not None:
            raise RoutingError("recorded outcomes hold no reply to a prompt of the router's own")
        outcome = outcomes[decision.model]
        seen.append(outcome)
        spent += outcome.cost["usd"]
        if left is not None:
            view = _view(left - spent)
    raise RoutingError(
        f"the router did not stop after {_MOST_CALLS} calls; it must, once every candidate was seen"
    )


_UNLIMITED = ScopeView("replay", {}, Cost(), Cost(), Cost(), {})


def _view(left: int | None) -> ScopeView:
    return _UNLIMITED if left is None else _UNLIMITED._replace(limits={"usd": left}, available={"usd": left})


def _prompts(table: OutcomeTable) -> Floats:
    """Return what each prompt costs in nano-dollars, 0 where tokens or price are unknown."""
    priced = [table.prices.get(model) for model in table.models]
    rates = [float(price.input) * NANO / 1e6 if price else 0.0 for price in priced]
    return np.nan_to_num(table.input_tokens) * rates


def _tokens(table: OutcomeTable) -> list[list[list[int]]]:
    """Return tokens in and out by row and column, 0 where unknown."""
    both = np.stack([table.input_tokens, table.output_tokens], axis=-1)
    found: list[list[list[int]]] = np.nan_to_num(both).astype(int).tolist()
    return found


def _outcome(table: OutcomeTable, row: int, column: int, tokens: Sequence[int], nano: int) -> Outcome:
    """Build what a router sees of a recorded call: the text that was kept of it, its usage and its cost."""
    model = table.models[column]
    problems = ("the reply has no answer",) if table.blank(row, model) else ()
    seconds = float(table.latency[row, column])
    known, cost = seconds if math.isfinite(seconds) else None, Cost(usd=nano, requests=1)
    if table.replies and (whole := table.replies[row].get(model)):
        return Outcome(model, whole, cost, problems, seconds=known)
    read, written = tokens
    answer = table.answers[row].get(model) if table.answers else None
    text = (table.responses[row].get(model) if table.responses else None) or answer or ""
    completion = Completion(assistant(text), "stop", Usage(input_tokens=read, output_tokens=written))
    return Outcome(model, completion, cost, problems, seconds=known)
