"""The verifier: what replies say about themselves, about each other, and about models that were not asked."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from agentkit.routers import Query
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.estimators import Frontier, Trail
from agentkit.routers.estimators.fitting import Material
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.verified import Verified, fit_verified, rates, rehearsal_stage, rehearse
from agentkit.routers.estimators.verifier import MOST_STATES, VerifiedEstimator, Verifier
from agentkit.routers.utility import UtilityRouter
from tests.routers.estimators.replies import with_replies

TRAIN, TEST = with_replies(), with_replies(200, seed=7)
STAGE = Stage.of(TEST)


@pytest.fixture(scope="module")
def fitted() -> Verified:
    return fit_verified(Material.of(TRAIN))


def judged(fitted: Verified, *models: str) -> np.ndarray:
    """What is believed of the last of these models' replies, by query."""
    return np.array(
        [
            fitted.estimator.judge(query, STAGE.cards, [outcomes[model] for model in models])[-1]
            for query, outcomes in zip(STAGE.queries, STAGE.outcomes, strict=True)
        ]
    )


def brier(predicted: np.ndarray, model: str) -> float:
    return float(((predicted - TEST.score[:, TEST.models.index(model)]) ** 2).mean())


def test_a_reply_tells_more_than_the_query_and_another_one_more_still(fitted: Verified) -> None:
    before = [fitted.base.estimate(query, STAGE.cards)[0].quality for query in STAGE.queries]
    errors = [
        brier(np.array(before), "algebra"),
        brier(judged(fitted, "algebra"), "algebra"),
        brier(judged(fitted, "history", "large", "algebra"), "algebra"),
    ]
    assert errors[0] > errors[1] + 0.02 and errors[1] > errors[2] + 0.02


def test_beliefs_are_calibrated_on_queries_never_seen(fitted: Verified) -> None:
    believed = judged(fitted, "algebra", "large")
    right = TEST.score[:, TEST.models.index("large")]
    assert believed.mean() == pytest.approx(right.mean(), abs=0.05)
    assert right[believed > 0.9].mean() > 0.9 and right[believed < 0.5].mean() < 0.5


def test_an_outcome_without_reply_is_not_believed(fitted: Verified) -> None:
    gone = replace(STAGE.outcomes[0]["large"], completion=None, error="down")
    seen = [gone, STAGE.outcomes[0]["algebra"]]
    beliefs = fitted.estimator.judge(STAGE.queries[0], STAGE.cards, seen)
    alone = fitted.estimator.judge(STAGE.queries[0], STAGE.cards, seen[1:])
    assert beliefs == [0.0, *alone]


def test_estimates_follow_what_was_seen(fitted: Verified) -> None:
    query, outcomes = STAGE.queries[0], STAGE.outcomes[0]
    before = fitted.estimator.estimate(query, STAGE.cards)
    assert before == fitted.base.estimate(query, STAGE.cards)
    after = fitted.estimator.estimate(query, STAGE.cards, [outcomes["large"]])
    place = TEST.models.index("large")
    (belief,) = fitted.estimator.judge(query, STAGE.cards, [outcomes["large"]])
    assert after[place].quality == pytest.approx(belief)
    assert [one.cost for one in after] == [one.cost for one in before]


def test_other_replies_to_the_same_query_are_judged_anew(fitted: Verified) -> None:
    query, mine = STAGE.queries[0], STAGE.outcomes[0]["large"]
    (before,) = fitted.estimator.judge(query, STAGE.cards, [mine])
    (other,) = fitted.estimator.judge(query, STAGE.cards, [STAGE.outcomes[1]["large"]])
    fewer = fitted.estimator.estimate(query, STAGE.cards[:2], [mine])
    assert fitted.estimator.judge(query, STAGE.cards, [mine]) == [before] != [other]
    assert len(fewer) == 2 < len(fitted.estimator.estimate(query, STAGE.cards, [mine]))


def test_it_is_plain_numbers(fitted: Verified) -> None:
    again = Verifier.of(json.loads(json.dumps(fitted.estimator.verifier.plain)))
    loaded = VerifiedEstimator(fitted.base, again)
    for query, outcomes in zip(STAGE.queries[:20], STAGE.outcomes, strict=False):
        seen = [outcomes["algebra"], outcomes["history"]]
        assert loaded.judge(query, STAGE.cards, seen) == pytest.approx(
            fitted.estimator.judge(query, STAGE.cards, seen)
        )
    assert sum(right for right, _ in loaded.likelihoods("large")) == pytest.approx(1)
    assert loaded.likelihoods("never seen") == loaded.likelihoods("")


def test_a_model_that_was_never_seen_is_judged_by_the_others(fitted: Verified) -> None:
    stranger = replace(STAGE.outcomes[0]["large"], model="stranger")
    query = Query(STAGE.queries[0].text, {})
    (belief,) = fitted.estimator.judge(query, STAGE.cards, [stranger])
    assert 0 < belief < 1


def test_cascade_routing_is_worth_more_than_routing(fitted: Verified) -> None:
    frontier = Frontier.of(TEST.score, TEST.cost)
    areas = []
    for make in (partial(CascadeRouter, fitted.estimator), partial(UtilityRouter, fitted.base)):
        played = [play(make(rate), STAGE) for rate in rates(TRAIN)[::3]]
        trail = Trail(np.stack([one.cost for one in played]), np.stack([one.score for one in played]))
        areas.append(frontier.area(trail))
    assert areas[0] > areas[1] + 0.02


def test_what_a_rehearsal_says_comes_true(fitted: Verified) -> None:
    knob = rates(TRAIN)[6::6]
    told = rehearse(partial(CascadeRouter, fitted.rehearsal), knob, rehearsal_stage(fitted.table))
    for rate, (spend, score) in zip(knob, told.points, strict=True):
        played = play(CascadeRouter(fitted.estimator, rate), STAGE)
        assert float(played.cost.mean()) == pytest.approx(spend, rel=0.3)
        assert float(played.score.mean()) == pytest.approx(score, abs=0.06)


def test_the_same_text_for_ever_does_not_fill_the_memory(fitted: Verified) -> None:
    outcome, query = STAGE.outcomes[0]["large"], STAGE.queries[0]
    estimator = VerifiedEstimator(fitted.base, fitted.estimator.verifier)
    for _ in range(MOST_STATES + 10):
        estimator.judge(query, STAGE.cards, [replace(outcome)])
    assert len(estimator._states) <= MOST_STATES
