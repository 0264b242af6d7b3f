"""Quality while a new model is tried that is known by its card alone, on recorded outcomes.

Each model of a table in turn is the newcomer: the estimator is fitted on half the queries without it, and the
other half comes one by one, each answered by the model of the best expected quality, and by the next one where a
reply does not validate. Three rules:

- `never`: the known models only, which is the router in use;
- `trusting`: the newcomer is believed to be what its card promises;
- `conservative`: it is tried within the balance, and learned from by the recorded score of its answers (ours).

`floor` is the lowest ratio of ours to `never`, in quality answered so far, from the 50th query on; `least_balance`
is what the guarantee is about, and never below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from agentkit.evals.benches.base import Options
from agentkit.evals.benches.rules_latency import Parts
from agentkit.evals.public_data import required_folder
from agentkit.evals.replay.tables import prepare
from agentkit.evals.statistics import bootstrap_mean
from agentkit.routers import Call, Decision, Outcome, Query, Router, UtilityRouter
from agentkit.routers.conservative import ConservativeRouter
from agentkit.routers.estimators import OutcomeTable, fit_estimator
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.table import Floats
from agentkit.types import ModelCard, ScopeView

TABLES = ("llmrouter", "llmdrift", "bbh_direct_vs_cot", "routellm")
MOST_LOSS = 0.05
_WARM, _QUICK = 50, 120
_HEADS = ("linear", "clusters")


class _Watched:
    """Keeps what the balance of a conservative router was, and counts its trials."""

    def __init__(self, router: ConservativeRouter) -> None:
        self.router, self.least, self.trials = router, math.inf, 0

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        decision = self.router.next(query, candidates, seen, view)
        self.least = min(self.least, self.router.balance)
        self.trials += isinstance(decision, Call) and decision.model in self.router.newcomers
        return decision


class _Without:
    """Hides the newcomer from `router`."""

    def __init__(self, router: Router, newcomer: str) -> None:
        self._router, self._newcomer = router, newcomer

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        usual = [card for card in candidates if card.name != self._newcomer]
        return self._router.next(query, usual, seen, view)


def newcomers(options: Options) -> Parts:
    """Return figures and intervals by table; intervals are over queries, all newcomers together."""
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for name in TABLES:
        (fold, *_), _ = prepare(required_folder(f"routing_{name}"), None, count=2)
        train, test = fold.train, fold.test
        if options.quick:
            train, test = train.rows(range(_QUICK)), test.rows(range(_QUICK))
        ours: list[Floats] = []
        rest: dict[str, list[Floats]] = {"never": [], "trusting": []}
        floors, least, trials = [], math.inf, 0
        for newcomer in test.models:
            options.progress(f"rules: {name}, {newcomer} is new")
            scores, watched = _tried(train, test, newcomer)
            ours.append(scores["conservative"])
            for rule in rest:
                rest[rule].append(scores[rule])
            floors.append(_floor(scores["conservative"], scores["never"]))
            least, trials = min(least, watched.least), trials + watched.trials
        mine = np.mean(ours, axis=0)
        metrics |= {f"{name}_conservative": float(mine.mean()), f"{name}_floor": min(floors)}
        metrics |= {f"{name}_least_balance": least, f"{name}_trials": trials / len(mine) / len(ours)}
        for rule, theirs in rest.items():
            gain = mine - np.mean(theirs, axis=0)
            metrics |= {f"{name}_{rule}": float(np.mean(theirs)), f"{name}_over_{rule}": float(gain.mean())}
            metrics[f"{name}_{rule}_floor"] = min(
                _floor(one, never) for one, never in zip(theirs, rest["never"], strict=True)
            )
            intervals[f"{name}_over_{rule}"] = bootstrap_mean(gain.tolist())
    return metrics, intervals


def _tried(train: OutcomeTable, test: OutcomeTable, newcomer: str) -> tuple[dict[str, Floats], _Watched]:
    """Return the score of each query by rule, and how the balance was."""
    known = train.only([model for model in train.models if model != newcomer])
    estimator = fit_estimator(known, heads=_HEADS).estimator
    estimator.remembered = len(test.items)
    stage = Stage.of(test)
    scores_of = {query.text: scores for query, scores in zip(stage.queries, stage.scores, strict=True)}
    usual = UtilityRouter(estimator)
    judge: Callable[[Query, Outcome], float] = lambda query, outcome: scores_of[query.text][outcome.model]  # noqa: E731
    watched = _Watched(ConservativeRouter(usual, estimator, {newcomer}, judge, most_loss=MOST_LOSS))
    routers: dict[str, Router] = {
        "never": _Without(usual, newcomer),
        "trusting": usual,
        "conservative": watched,
    }
    order = np.random.default_rng(0).permutation(len(test.items))
    scores = {rule: play(router, stage, order=order).score[order] for rule, router in routers.items()}
    return scores, watched


def _floor(mine: Floats, theirs: Floats) -> float:
    """Return the lowest ratio of the two running sums, once there are some queries."""
    start = min(_WARM, len(mine) - 1)
    ratio = mine.cumsum()[start:] / np.maximum(theirs.cumsum()[start:], 1e-9)
    return float(ratio.min())
