"""The decision rules that cascade routing and the shadow price are measured against."""

from dataclasses import replace

import pytest

from agentkit.costs import NANO, Cost
from agentkit.evals.baselines import Contender
from agentkit.evals.baselines.cascades import cascade_routing, route_only, value_cascade
from agentkit.evals.baselines.streams import stream
from agentkit.evals.baselines.votes import panels
from agentkit.evals.replay.folds import folds
from agentkit.evals.replay.runs import Limit, Run, replay
from agentkit.routers.estimators import Frontier
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.verified import HeldOut
from agentkit.routers.votes import VoteRouter
from tests.routers.estimators.replies import with_replies

TABLE = with_replies(120)
RULES: dict[str, Contender] = {
    "cascade routing": cascade_routing,
    "route only": route_only,
    "value cascade": value_cascade,
    "votes": panels("vote"),
    "weighted votes": panels("weighted vote"),
    "best of": panels("verifier"),
    "stream": stream(),
    "greedy": stream(greedy=True),
}


@pytest.fixture(scope="module")
def runs() -> tuple[Frontier, dict[str, Run]]:
    arena, found = replay(list(folds(TABLE, count=2)), RULES, limits=[Limit("30%", share=0.3)])
    return arena.frontier, found


@pytest.mark.parametrize("other", ["route only", "value cascade", "votes", "weighted votes", "best of"])
def test_cascade_routing_is_above_its_corners(runs: tuple[Frontier, dict[str, Run]], other: str) -> None:
    frontier, found = runs
    assert frontier.area(found["cascade routing"].trail) > frontier.area(found[other].trail)


def test_the_shadow_price_is_above_greed_and_near_hindsight(runs: tuple[Frontier, dict[str, Run]]) -> None:
    _, found = runs
    for run in found.values():
        assert all(done.violations == 0 for done in run.budgeted.values())
    priced, greedy = (found[name].budgeted["30%", "shuffled"] for name in ("stream", "greedy"))
    assert priced.offline is not None
    assert priced.quality >= max(greedy.quality, priced.offline - 0.05)


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


def test_costs_are_in_dollars() -> None:
    told = HeldOut({TABLE.texts[0]: TABLE.score[0]}, TABLE.cost[0], TABLE.models)
    (first, *_) = told.estimate(Stage.of(TABLE.rows([0])).queries[0], TABLE.cards())
    assert first.cost == Cost(usd=round(TABLE.cost[0, 0] * NANO))
