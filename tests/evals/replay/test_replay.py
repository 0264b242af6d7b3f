"""The replay: every call charged, nothing told that a live router would not know, and the figures it reports."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agentkit.costs import NANO
from agentkit.errors import ConfigError, RoutingError
from agentkit.evals.baselines import Ladder
from agentkit.evals.replay.contenders import CONTENDERS, contenders
from agentkit.evals.replay.folds import Split, folds
from agentkit.evals.replay.knapsack import offline
from agentkit.evals.replay.report import draws, report
from agentkit.evals.replay.runs import Limit, replay
from agentkit.routers import Call, Decision, Outcome, Query, Router, RuleRouter, Stop
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.estimators.recorded import Stage, play, play_each
from agentkit.types import ModelCard, ScopeView
from tests.routers.estimators.tables import MODELS, PRICES, two_topics

TABLE = two_topics(150)


class Script:
    """Calls these models in turn, then stops with the outcome of that number."""

    def __init__(self, models: Sequence[str], answer: int | None) -> None:
        self.models, self.answer = models, answer
        self.views: list[ScopeView] = []

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        self.views.append(view)
        left = self.models[len(seen) :]
        return Call(left[0], "told") if left else Stop(self.answer, "told")


def test_every_call_is_charged_and_the_answer_that_is_chosen_counts() -> None:
    played = play(Script(["large", "algebra"], 0), Stage.of(TABLE))
    columns = [MODELS.index("large"), MODELS.index("algebra")]
    np.testing.assert_allclose(played.cost, TABLE.cost[:, columns].sum(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(played.score, TABLE.score[:, columns[0]])
    assert played.called.sum(axis=0).tolist() == [150, 0, 150]


def test_several_routers_at_once_do_what_each_does_alone() -> None:
    routers: list[Router] = [Script(["large"], 0), RuleRouter(MODELS), Script([], None)]
    stage = Stage.of(TABLE)
    for router, played in zip(routers, play_each(routers, stage), strict=True):
        alone = play(router, stage)
        for name in ("cost", "score", "called"):
            np.testing.assert_array_equal(getattr(played, name), getattr(alone, name))


def test_queries_of_the_same_text_are_drawn_together() -> None:
    items = [replace(item, text=TABLE.items[row // 3].text) for row, item in enumerate(TABLE.items)]
    counts = draws(replace(TABLE, items=tuple(items)), 20)
    triples = counts.reshape(20, -1, 3)
    assert (triples == triples[:, :, :1]).all()
    assert counts.sum(axis=1).tolist() == [150.0] * 20
    assert triples[:, :, 0].std() > 0.5


def test_no_answer_scores_nothing() -> None:
    assert play(Script([], None), Stage.of(TABLE)).score.sum() == 0


def test_a_router_sees_what_is_left_of_the_budget() -> None:
    script = Script(["algebra"], 0)
    played = play(script, Stage.of(TABLE.rows(range(2))), budget=1.0)
    spent = [round(cost * 1e9) for cost in played.cost]
    assert [view.available["usd"] for view in script.views] == [
        10**9, 10**9 - spent[0], 10**9 - spent[0], 10**9 - sum(spent),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("router", "budget"),
    [(Script(["nobody"], 0), None), (Script(["algebra"], 0), 1e-9), (Script(["algebra"] * 99, 0), None)],
)
def test_what_cannot_be_called_is_an_error(router: Script, budget: float | None) -> None:
    with pytest.raises(RoutingError):
        play(router, Stage.of(TABLE), budget=budget)


@pytest.mark.parametrize("priced", [True, False])
def test_a_call_is_held_at_its_prompt_and_the_dearest_reply_or_else_the_dearest_call(priced: bool) -> None:
    read = TABLE.input_tokens * np.arange(1, 151)[:, None]
    replies = TABLE.cost - TABLE.input_tokens * np.array(PRICES) / 1e6
    table = replace(TABLE, input_tokens=read, cost=replies + read * np.array(PRICES) / 1e6)
    stage = Stage.of(table if priced else replace(table, prices={}))
    held = np.array([[query.bounds[model]["usd"] for model in MODELS] for query in stage.queries]) / NANO
    dearest = (table.cost - replies) + replies.max(axis=0) if priced else np.tile(table.cost.max(axis=0), (150, 1))
    np.testing.assert_allclose(held, dearest, atol=3 / NANO)
    assert all(out.cost["usd"] <= q.bounds[m]["usd"] for q, o in zip(stage.queries, stage.outcomes, strict=True)
               for m, out in o.items())  # fmt: skip


def test_a_pair_without_outcome_is_no_candidate() -> None:
    score, cost = TABLE.score.copy(), TABLE.cost.copy()
    score[:, 0] = cost[:, 0] = np.nan
    stage = Stage.of(replace(TABLE, score=score, cost=cost))
    assert "algebra" not in stage.queries[0].bounds
    assert play(RuleRouter(["algebra", "history"]), stage).called.sum(axis=0).tolist() == [0, 150, 0]


def test_a_reply_without_an_answer_does_not_validate() -> None:
    answers = tuple({"algebra": "", "history": "4", "large": "4"} for _ in TABLE.items)
    stage = Stage.of(replace(TABLE, answers=answers, blank_is_failure=True))
    assert not stage.outcomes[0]["algebra"].valid and stage.outcomes[0]["history"].valid
    assert play(RuleRouter(MODELS), stage).called.sum(axis=0).tolist() == [150, 150, 0]


@pytest.mark.parametrize("split", ["query", "dataset", "model"])
def test_every_query_is_replayed_once_and_never_fitted_on(split: Split) -> None:
    table = TABLE.rows([*range(100), *range(100)])  # texts twice, under other ids
    items = tuple(replace(item, id=f"{place}") for place, item in enumerate(table.items))
    parts = list(folds(replace(table, items=items), split, count=3))
    tested = [item.id for part in parts for item in part.test.items]
    assert sorted(tested, key=int) == [item.id for item in items]
    for part in parts:
        assert not {item.id for item in part.train.items} & {item.id for item in part.test.items}
        if split != "dataset":
            assert not set(part.train.texts) & set(part.test.texts)
        else:
            assert not {item.task for item in part.train.items} & {item.task for item in part.test.items}
        assert (set(part.test.models) - set(part.train.models) == set(part.unseen)) and (
            bool(part.unseen) is (split == "model")
        )


def test_a_table_that_cannot_be_divided_is_refused() -> None:
    one_task = TABLE.rows([row for row, item in enumerate(TABLE.items) if item.task == "sum"])
    with pytest.raises(ConfigError, match="divided by dataset"):
        list(folds(one_task, "dataset"))
    with pytest.raises(ConfigError, match="three"):
        list(folds(TABLE.only(["algebra", "large"]), "model"))
    assert len(list(folds(TABLE, count=150))) == 150
    with pytest.raises(ConfigError, match="150 different queries, too few for 151 parts"):
        list(folds(TABLE, count=151))


def test_every_contender_runs_and_the_report_is_whole() -> None:
    limits = [Limit("30%", share=0.3), Limit("usd=0.05", dollars=0.05)]
    arena, runs = replay(list(folds(TABLE, count=2)), CONTENDERS, limits=limits)
    figures = json.loads(json.dumps(report(arena, runs, resamples=50), allow_nan=False))
    assert set(figures) == {"routers", "singles", "oracle", "environment"}
    assert set(figures["routers"]) == {*CONTENDERS, "zero"}
    assert set(figures["singles"]) == {*MODELS, "random"}
    for name, row in figures["routers"].items():
        assert row["hull_low"] <= row["hull"] <= row["hull_high"], name
        assert row["hull"] <= figures["oracle"]["quality"] + 1e-9
        assert row.get("budget_violations", 0) == 0
    default = figures["routers"]["default"]
    assert default["hull_over_constant_low"] > 0
    assert default["regret_estimator"] > 0
    assert {(row["budget"], row["order"]) for row in default["budgets"]} == {
        (limit.name, order) for limit in limits for order in ("natural", "reversed", "shuffled")
    }


def test_dollars_are_for_all_replayed_queries_and_divided_among_the_folds() -> None:
    _, runs = replay(list(folds(TABLE, count=3)), contenders(["rules"]), limits=[Limit("usd", dollars=0.06)])
    assert runs["rules"].budgeted["usd", "natural"].budget == pytest.approx(0.06)


def test_an_unseen_model_is_judged_by_its_card() -> None:
    arena, runs = replay(list(folds(TABLE, "model", count=3)), contenders(["default"]))
    row = report(arena, runs, resamples=20)["routers"]["default"]
    assert 0.5 < row["hull"] < 1 and row["ece_debiased"] < 0.3


def test_the_knob_of_a_ladder_meets_a_spend() -> None:
    rungs = tuple(RuleRouter([model]) for model in ("large", "history"))
    ladder = Ladder(rungs, (0.002, 0.0002))
    stage = Stage.of(TABLE)
    for spend in (0.0002, 0.0011, 0.002, 9.9):
        mean = float(play(ladder.at(spend), stage).cost.mean())
        assert mean == pytest.approx(min(spend, 0.002), rel=0.2)
    assert ladder.at(0.0) is rungs[1]


def test_hindsight_on_perfect_predictions_is_the_knapsack() -> None:
    table: OutcomeTable = TABLE.only(["algebra", "large"])
    dear = float(table.cost[:, 1].sum())
    shares = (0.11, 0.15, 2.0)
    low, middle, high = (offline(table.score, table.cost, table, dear * share).mean() for share in shares)
    assert low <= middle <= high == pytest.approx(table.score.max(axis=1).mean())


def test_hindsight_pays_no_more_than_there_is() -> None:
    cost = np.array([[0.1], [0.2], [0.4], [0.8]])
    table = replace(TABLE.only(["large"]).rows(range(4)), score=np.ones((4, 1)), cost=cost)
    for budget, answered in ((0.05, 0), (0.35, 2), (0.71, 3), (1.5, 4)):
        assert offline(table.score, cost, table, budget).sum() == pytest.approx(answered)


def test_an_unknown_contender_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cluster'"):
        contenders(["clusters"])
