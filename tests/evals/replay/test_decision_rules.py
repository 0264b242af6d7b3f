"""The decision rules that cascade routing and the shadow price are measured against."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agentkit.costs import NANO, Cost
from agentkit.evals.baselines import Contender
from agentkit.evals.baselines.automix import VOTES, AutoMixRouter, automix
from agentkit.evals.baselines.cascades import cascade_routing, route_only, value_cascade
from agentkit.evals.baselines.eero import eero, exit_shares, thresholds
from agentkit.evals.baselines.streams import stream
from agentkit.evals.baselines.tiers import cheapest_that_succeeds, tiers
from agentkit.evals.baselines.votes import panels
from agentkit.evals.replay.folds import folds
from agentkit.evals.replay.runs import Limit, Run, replay
from agentkit.messages import assistant
from agentkit.routers import Estimate, Outcome, Query
from agentkit.routers.estimators import Frontier
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.verified import HeldOut
from agentkit.routers.reservation import Likelihoods
from agentkit.routers.votes import VoteRouter
from agentkit.types import Completion, ModelCard
from tests.routers.estimators.replies import with_replies

TABLE = with_replies(120)
RULES: dict[str, Contender] = {
    "cascade routing": cascade_routing,
    "route only": route_only,
    "value cascade": value_cascade,
    "votes": panels("vote"),
    "weighted votes": panels("weighted vote"),
    "best of": panels("verifier"),
    "tiers": tiers,
    "automix": automix(pomdp=True),
    "automix, threshold": automix(pomdp=False),
    "eero": eero,
    "stream": stream(),
    "greedy": stream(greedy=True),
}


class Believing:
    """Believes replies as it is told."""

    def __init__(self, beliefs: list[float]) -> None:
        self._beliefs = beliefs

    def estimate(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[Estimate]:
        return [Estimate(0.5, 0.1) for _ in candidates]

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        return self._beliefs[: len(seen)]

    def likelihoods(self, model: str) -> Likelihoods:
        return [(1.0, 1.0)]


@pytest.fixture(scope="module")
def runs() -> tuple[Frontier, dict[str, Run]]:
    arena, found = replay(list(folds(TABLE, count=2)), RULES, limits=[Limit("30%", share=0.3)])
    return arena.frontier, found


@pytest.mark.parametrize("other", [name for name in RULES if name not in ("cascade routing", "stream", "greedy")])
def test_cascade_routing_is_above_its_corners(runs: tuple[Frontier, dict[str, Run]], other: str) -> None:
    frontier, found = runs
    assert frontier.area(found["cascade routing"].trail) > frontier.area(found[other].trail)


def test_the_shadow_price_is_near_hindsight_and_greed(
    runs: tuple[Frontier, dict[str, Run]],
) -> None:
    _, found = runs
    for run in found.values():
        assert all(done.violations == 0 for done in run.budgeted.values())
    priced, greedy = (found[name].budgeted["30%", "shuffled"] for name in ("stream", "greedy"))
    assert priced.offline is not None
    assert priced.quality >= max(greedy.quality, priced.offline) - 0.05


@pytest.mark.parametrize(
    ("weighted", "chances", "scores"),
    [
        (False, (0.6, 0.6, 0.9), 0.0),  # two wrong ones agree
        (True, (0.6, 0.6, 0.9), 1.0),  # and one right one knows better: ln 9 > 2·ln 1.5
    ],
)
def test_a_vote(weighted: bool, chances: tuple[float, float, float], scores: float) -> None:
    table = TABLE.rows([0])
    said = {"algebra": "4", "history": "4", "large": "5"}
    table = replace(table, score=table.score * 0 + [0.0, 0.0, 1.0], responses=(said,))
    told = HeldOut({table.texts[0]: table.score[0] * 0 + chances}, table.cost[0], table.models)
    played = play(VoteRouter(table.models, told if weighted else None), Stage.of(table))
    assert played.score[0] == scores
    assert played.called.sum() == (3 if weighted else 2)


def test_tiers_go_from_the_cheapest_to_the_best(runs: tuple[Frontier, dict[str, Run]]) -> None:
    frontier, found = runs
    trail = found["tiers"].trail
    assert trail.cost.mean(axis=1)[[0, -1]] == pytest.approx([frontier.high, trail.cost.mean(axis=1).min()])
    score = TABLE.score[:5] * 0 + [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.6], [0.0, 0.0, 0.0], [0.4, 0, 1]]
    labels = cheapest_that_succeeds(replace(TABLE.rows(range(5)), score=score), TABLE.models)
    assert labels.tolist() == [1, 0, 2, 2, 2]


def test_votes_decide_who_is_asked_too() -> None:
    stage = Stage.of(TABLE.rows([0]))
    cheap, _, large = TABLE.models
    for belief, up, calls in ((0.5, {4}, 2), (0.5, {3, 5}, 1), (1.0, {VOTES}, 2), (0.0, {0}, 2)):
        router = AutoMixRouter(Believing([belief]), cheap, large, frozenset(up))
        assert play(router, stage).called.sum() == calls


def test_the_expected_spend_is_the_budget_at_any_price() -> None:
    errors, costs = np.array([0.4, 0.3, 0.1]), np.array([1.0, 3.0, 20.0])
    for budget in (1.0001, 2.0, 7.5, 19.0, 19.999):
        shares = exit_shares(errors, costs, budget)
        assert shares.sum() == pytest.approx(1) and shares @ costs == pytest.approx(budget, rel=1e-4)


@settings(max_examples=25)
@given(
    confidences=arrays(np.float64, (12, 3), elements=st.floats(0, 1), unique=True),
    first=st.floats(0, 1),
    second=st.floats(0, 1),
)
def test_quantiles_hold_the_shares_whatever_the_confidences_mean(
    confidences: np.ndarray, first: float, second: float
) -> None:
    shares = np.array([first, (1 - first) * second, (1 - first) * (1 - second)])
    left, going = [], np.ones(12, dtype=bool)
    for place, threshold in enumerate([*thresholds(confidences, shares), -np.inf]):
        stops = going & (confidences[:, place] >= threshold)
        left.append(stops.sum())
        going &= ~stops
    assert np.abs(np.array(left) - 12 * shares).max() <= 1.01


def test_a_replayed_call_takes_as_long_as_it_was_recorded() -> None:
    table = replace(TABLE.rows([0]), latency=np.array([[2.5, np.nan, 9.0]]))
    (outcomes,) = Stage.of(table).outcomes
    assert [outcomes[model].seconds for model in table.models] == [2.5, None, 9.0]
    whole = {model: Completion(assistant("so"), "stop") for model in table.models}
    (outcomes,) = Stage.of(replace(table, replies=(whole,))).outcomes
    assert [outcomes[model].seconds for model in table.models] == [2.5, None, 9.0]


def test_costs_are_in_dollars() -> None:
    told = HeldOut({TABLE.texts[0]: TABLE.score[0]}, TABLE.cost[0], TABLE.models)
    (first, *_) = told.estimate(Stage.of(TABLE.rows([0])).queries[0], TABLE.cards())
    assert first.cost == Cost(usd=round(TABLE.cost[0, 0] * NANO))
