"""Replays contenders over the folds of a table and keeps what each did, query by query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agentkit.costs import NANO
from agentkit.evals.baselines import Contender, Ladder
from agentkit.evals.replay.folds import Fold
from agentkit.evals.replay.knapsack import offline
from agentkit.routers.estimators import FittedEstimator, Frontier, OutcomeTable, Trail
from agentkit.routers.estimators.recorded import Played, Stage, play, play_each
from agentkit.routers.estimators.table import Floats, Indices, join

ORDERS = ("natural", "reversed", "shuffled")


@dataclass(frozen=True, slots=True)
class Limit:
    """A hard budget over all replayed queries: `dollars` in all, or a `share` of the extra cost of the best model.

    The extra cost is what the best single model spends above the cheapest one, both by the training queries.
    """

    name: str
    dollars: float | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What a contender did under a hard budget, in one order, and the bound of hindsight.

    `answered` is the share of the queries for which a model was called.
    """

    quality: float
    answered: float
    spent: float
    budget: float
    violations: int
    offline: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """What a contender did: by rung and query, and, at the spend of the best single model, by query.

    `mix` is the share of queries on which each model was called, (rungs, models). `predicted`, `expected` are its
    estimator's quality and dollars, (queries, models), `base` the training mean; None without an estimator.
    """

    trail: Trail
    mix: Floats
    cost: Floats
    score: Floats
    calls: Floats
    predicted: Floats | None = None
    expected: Floats | None = None
    base: Floats | None = None
    budgeted: Mapping[tuple[str, str], Budgeted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arena:
    """The replayed queries, in the order of the folds, and the best single model by training."""

    table: OutcomeTable
    frontier: Frontier
    best_cost: Floats
    best_score: Floats
    best_models: tuple[str, ...]


def replay(
    folds: Sequence[Fold],
    contenders: Mapping[str, Contender],
    *,
    limits: Sequence[Limit] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[Arena, dict[str, Run]]:
    """Fit every contender on each fold's training queries and replay it on the others."""
    parts: dict[str, list[_Part]] = {name: [] for name in contenders}
    bests = []
    queries = sum(len(fold.test.items) for fold in folds)
    for number, fold in enumerate(folds, 1):
        best = Best.of(fold, queries)
        bests.append(best)
        stage = Stage.of(fold.test)
        for name, contender in contenders.items():
            progress(f"fold {number} of {len(folds)}: {name}, {len(fold.train.items):,} to fit, "
                     f"{len(fold.test.items):,} to replay")  # fmt: skip
            parts[name].append(_Part.of(contender(fold.train), stage, best, limits))
    table = folds[0].test if len(folds) == 1 else join([fold.test for fold in folds])
    arena = Arena(
        table,
        Frontier.of(table.score, table.cost),
        np.concatenate([best.cost for best in bests]),
        np.concatenate([best.score for best in bests]),
        tuple(dict.fromkeys(best.model for best in bests)),
    )
    return arena, {name: _merge(found) for name, found in parts.items()}


@dataclass(frozen=True, slots=True)
class Best:
    """The best single model of a fold's training queries, what it spends there and does in test.

    `part` is the fold's part of all replayed queries.
    """

    model: str
    spend: float
    cheapest: float
    cost: Floats
    score: Floats
    means: Mapping[str, float]
    part: float

    @classmethod
    def of(cls, fold: Fold, queries: int) -> Best:
        """Return it for `fold`, of `queries` in all folds."""
        shared = [model for model in fold.train.models if model in fold.test.models]
        train = fold.train.only(shared)
        score, cost = np.nan_to_num(train.score).mean(axis=0), np.nan_to_num(train.cost).mean(axis=0)
        best = max(range(len(shared)), key=lambda m: (score[m], -cost[m]))
        column = fold.test.models.index(shared[best])
        done = np.nan_to_num(fold.test.cost[:, column]), np.nan_to_num(fold.test.score[:, column])
        means = dict(zip(shared, np.nanmean(train.score, axis=0).tolist(), strict=True))
        part = len(fold.test.items) / queries
        return cls(shared[best], float(cost[best]), float(cost.min()), *done, means, part)

    def budget(self, limit: Limit) -> float:
        """Return the dollars of `limit` for this fold."""
        if limit.dollars is not None:
            return limit.dollars * self.part
        return len(self.cost) * (self.cheapest + limit.share * (self.spend - self.cheapest))


@dataclass(frozen=True, slots=True)
class _Part:
    """What a contender did in one fold."""

    rungs: tuple[Played, ...]
    chosen: Played
    predicted: Floats | None
    expected: Floats | None
    base: Floats | None
    budgeted: Mapping[tuple[str, str], tuple[Played, float, float | None]]

    @classmethod
    def of(cls, ladder: Ladder, stage: Stage, best: Best, limits: Sequence[Limit]) -> _Part:
        predicted = expected = base = None
        if ladder.estimator is not None:
            predicted, expected = predictions(ladder.estimator, stage)
            usual = float(np.mean(list(best.means.values())))
            row = [best.means.get(model, usual) for model in stage.table.models]
            base = np.broadcast_to(np.array(row), predicted.shape)
        budgeted = {}
        for limit in limits:
            budget = best.budget(limit)
            bound = None
            if predicted is not None and expected is not None:
                bound = float(offline(predicted, expected, stage.table, budget).mean())
            for name in ORDERS:
                router = ladder.under(budget, len(stage.queries))
                played = play(router, stage, order=order(name, len(stage.queries)), budget=budget)
                budgeted[limit.name, name] = played, budget, bound
        *rungs, chosen = play_each([*ladder.routers, ladder.usual or ladder.at(best.spend)], stage)
        return cls(tuple(rungs), chosen, predicted, expected, base, budgeted)


def predictions(estimator: FittedEstimator, stage: Stage) -> tuple[Floats, Floats]:
    """Return quality and dollars expected of every pair, (queries, models); the estimator keeps them in memory."""
    estimator.remembered = max(estimator.remembered, len(stage.queries))
    estimator.warm(stage.table.texts)
    rows = [estimator.estimate(query, stage.cards) for query in stage.queries]
    quality = np.array([[estimate.quality for estimate in row] for row in rows])
    return quality, np.array([[estimate.cost["usd"] / NANO for estimate in row] for row in rows])


def order(name: str, count: int, *, seed: int = 0) -> Indices:
    """Return the rows in one of ORDERS."""
    rows = np.arange(count)
    if name == "shuffled":
        return np.random.default_rng(seed).permutation(rows)
    return rows[::-1] if name == "reversed" else rows


def _merge(parts: Sequence[_Part]) -> Run:
    """Put the folds one after the other."""
    rungs = range(len(parts[0].rungs))
    chosen = [part.chosen for part in parts]
    mix = [np.concatenate([part.rungs[rung].called for part in parts]).mean(axis=0) for rung in rungs]
    return Run(
        trail=Trail(
            np.stack([np.concatenate([part.rungs[rung].cost for part in parts]) for rung in rungs]),
            np.stack([np.concatenate([part.rungs[rung].score for part in parts]) for rung in rungs]),
        ),
        mix=np.stack(mix),
        cost=np.concatenate([played.cost for played in chosen]),
        score=np.concatenate([played.score for played in chosen]),
        calls=np.concatenate([played.called.sum(axis=1) for played in chosen]),
        predicted=_joined([part.predicted for part in parts]),
        expected=_joined([part.expected for part in parts]),
        base=_joined([part.base for part in parts]),
        budgeted={key: _budgeted([part.budgeted[key] for part in parts]) for key in parts[0].budgeted},
    )


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    found = [part for part in parts if part is not None]
    return np.concatenate(found) if len(found) == len(parts) else None


def _budgeted(parts: Sequence[tuple[Played, float, float | None]]) -> Budgeted:
    sizes = [len(played.score) for played, _, _ in parts]
    bounds = [bound for _, _, bound in parts if bound is not None]
    return Budgeted(
        quality=float(np.concatenate([played.score for played, _, _ in parts]).mean()),
        answered=float(np.concatenate([played.called.any(axis=1) for played, _, _ in parts]).mean()),
        spent=float(sum(played.cost.sum() for played, _, _ in parts)),
        budget=sum(budget for _, budget, _ in parts),
        violations=sum(bool(played.cost.sum() > budget * (1 + 1e-12)) for played, budget, _ in parts),
        offline=float(np.average(bounds, weights=sizes)) if len(bounds) == len(parts) else None,
    )
