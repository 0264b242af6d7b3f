"""Fitting, and the file it leaves behind: the same decisions after a round trip, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from agentkit.costs import NANO, Cost
from agentkit.errors import ConfigError, TableError
from agentkit.loader import load as load_definition
from agentkit.routers import Call, Query
from agentkit.routers.artefact import Artefact, load
from agentkit.routers.base import Votes
from agentkit.routers.estimators import HEADS
from agentkit.routers.estimators.forecast import Forecast
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.table import Voted
from agentkit.routers.fit import fit
from agentkit.routers.mixed import MixedRouter
from agentkit.routers.preferences import Preferences
from agentkit.routers.shadow_price import WINDOW, ShadowPriceRouter
from agentkit.types import ScopeView
from tests.routers.estimators.replies import with_replies
from tests.routers.estimators.tables import two_topics, write
from tests.scenario import card

TABLE = two_topics(200)
VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
BOUNDS = {model: Cost(usd=1) for model in TABLE.models}


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return fit(TABLE, heads=tuple(HEADS))


def test_what_is_loaded_decides_as_what_was_saved(artefact: Artefact, tmp_path: Path) -> None:
    artefact.save(tmp_path / "router.safetensors")
    loaded = load(tmp_path / "router.safetensors")
    assert (loaded.choice, loaded.reliability, loaded.tables) == (
        artefact.choice,
        artefact.reliability,
        {"two-topics": "made up"},
    )
    for item in TABLE.items[:20]:
        before, after = (
            made.estimator.estimate(Query(item.text, {}), TABLE.cards()) for made in (artefact, loaded)
        )
        assert before == after
    assert list(tmp_path.iterdir()) == [tmp_path / "router.safetensors"]


def test_the_router_spends_what_it_is_told(artefact: Artefact) -> None:
    spends = []
    for spend in (0.0003, 0.0006):
        router = artefact.router(spend=spend)
        calls = [router.next(Query(text, BOUNDS), TABLE.cards(), (), VIEW) for text in TABLE.texts]
        columns = [TABLE.models.index(call.model) for call in calls if isinstance(call, Call)]
        spends.append(float(TABLE.cost[np.arange(len(calls)), columns].mean()))
    assert spends == pytest.approx([0.0003, 0.0006], rel=0.25)


def test_where_no_gain_is_certain_the_best_single_model_is_called(artefact: Artefact) -> None:
    for low, routes in ((-0.001, False), (0.001, True)):
        made = replace(artefact, choice=replace(artefact.choice, over_best=(low, 0.1)))
        models = {made.router().next(Query(t, BOUNDS), TABLE.cards(), (), VIEW) for t in TABLE.texts}
        assert ({call.model for call in models if isinstance(call, Call)} == {"large"}) is not routes


def test_models_the_artefact_does_not_know_are_called_where_no_other_can_be(artefact: Artefact) -> None:
    made = replace(artefact, choice=replace(artefact.choice, over_best=(-0.001, 0.1)))
    bounds, strangers = {"one": Cost(usd=2), "two": Cost(usd=1)}, (card("one"), card("two"))
    for router in (made.router(), made.router(spend=1.0), made.router(20.0)):
        assert isinstance(router.next(Query("sum", bounds), strangers, (), VIEW), Call)
    cards = (*strangers, *TABLE.cards())
    decision = made.router().next(Query("sum", BOUNDS | bounds), cards, (), VIEW)
    assert isinstance(decision, Call) and decision.model == "large"


def test_a_definition_names_a_model_of_its_artefact(artefact: Artefact, tmp_path: Path) -> None:
    artefact.save(tmp_path / "router.safetensors")
    path = tmp_path / "agentkit.yaml"
    text = DEFINITION.replace("KNOB", "").replace("large", "new")
    path.write_text(text)
    load_definition(path)
    path.write_text(text.replace("algebra", "newer"))
    with pytest.raises(ConfigError, match="knows none of newer, new; .* algebra, history, large"):
        load_definition(path)


def test_a_limit_of_seconds_takes_latencies(artefact: Artefact) -> None:
    for make in (artefact.router, artefact.stream):
        with pytest.raises(ConfigError, match="takes latencies, and this artefact has none"):
            make(preferences=Preferences(seconds=20))


@pytest.mark.parametrize("expected", [0, -3])
def test_a_stream_without_queries_is_refused(artefact: Artefact, expected: int) -> None:
    with pytest.raises(ConfigError, match="1 query or more"):
        artefact.stream(expected)


def test_a_price_of_quality_may_be_given_instead(artefact: Artefact) -> None:
    decision = artefact.router(1e9).next(Query("sum", BOUNDS), TABLE.cards(), (), VIEW)
    assert isinstance(decision, Call) and decision.model != "large"


def test_a_text_that_is_no_utf_8_is_routed_too(artefact: Artefact) -> None:
    first = artefact.router(1.0)
    for router in (first, MixedRouter(first, first, 0.5)):
        assert isinstance(router.next(Query("half a pair: \ud800", BOUNDS), TABLE.cards(), (), VIEW), Call)


@pytest.mark.parametrize("knob", [{"spend": -1.0}, {"spend": float("nan")}, {"quality_per_usd": -1.0}])
def test_a_knob_below_nought_is_refused(artefact: Artefact, knob: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be 0 or more"):
        artefact.router(**knob)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one of"):
        artefact.router(1.0, spend=1.0)


def test_tables_are_named_by_folder(tmp_path: Path) -> None:
    made = fit(write(tmp_path / "mine", two_topics(60)), heads=["linear"])
    assert list(made.tables) == ["mine"] and len(made.tables["mine"]) == 64
    assert "3 models, 60 queries" in made.summary()
    with pytest.raises(TableError, match="missing"):
        fit(tmp_path)
    with pytest.raises(ConfigError, match="one table"):
        fit()


def test_replies_make_it_a_cascade(tmp_path: Path) -> None:
    table = with_replies(200)
    made = fit(table)
    assert made.cascade is not None and made.cascade.gain[0] > 0 and "judging replies" in made.summary()
    made.save(tmp_path / "router.safetensors")
    loaded = load(tmp_path / "router.safetensors")
    assert loaded.curve == made.curve
    stage = Stage.of(with_replies(60, seed=5))
    for quality_per_usd, spend in ((None, None), (None, 0.0004), (made.curve[12][0], None)):
        before, after = (play(one.router(quality_per_usd, spend=spend), stage) for one in (made, loaded))
        assert before.called.tolist() == after.called.tolist()
    assert play(made.router(made.curve[12][0]), stage).called.sum(axis=1).max() > 1


def test_without_gain_there_is_no_cascade() -> None:
    table = with_replies(120)
    empty = replace(table, responses=tuple(dict.fromkeys(table.models, "so") for _ in table.items))
    assert fit(empty).cascade is None
    assert fit(table, heads=["linear"]).cascade is None


def test_what_is_no_artefact_of_this_version_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "router.safetensors"
    with pytest.raises(ConfigError, match="does not exist"):
        load(path)
    path.write_bytes(b"not it")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path)
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ConfigError, match="no router artefact"):
        load(path)
    save_file({"x": np.zeros(1)}, path, metadata={"agentkit": '{"format": "agentkit-router", "version": 99}'})
    with pytest.raises(ConfigError, match="version 99"):
        load(path)
    artefact.save(path)
    arrays = load_file(path)
    save_file(arrays, path, metadata={"agentkit": '{"format": "agentkit-router", "version": 2}'})
    with pytest.raises(ConfigError, match="'estimator'"):
        load(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header, arrays: [],
        lambda header, arrays: {**header, "estimator": []},
        lambda header, arrays: {**header, "choice": {**header["choice"], "curve": []}},
        lambda header, arrays: {**header, "estimator": {**header["estimator"], "models": ["one"]}},
        lambda header, arrays: {**header, "estimator": {**header["estimator"], "heads": []}},
        lambda header, arrays: arrays.update({"prior.line": np.zeros(2)}) or header,
        lambda header, arrays: arrays.update({"features.projection": np.zeros((3, 2))}) or header,
        lambda header, arrays: arrays.update({"amounts.cost.intercept": np.zeros(9)}) or header,
    ],
)
def test_a_damaged_artefact_is_refused_when_it_is_loaded(
    artefact: Artefact, tmp_path: Path, spoil: Callable[[Any, dict[str, Any]], Any]
) -> None:
    path = tmp_path / "router.safetensors"
    artefact.save(path)
    arrays = load_file(path)
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["agentkit"])
    changed = json.dumps(spoil(header, arrays))
    save_file(arrays, path, metadata={"agentkit": changed})
    with pytest.raises(ConfigError, match=r"cannot be read .* fit it again"):
        load(path)


def test_a_model_without_outcomes_takes_no_part() -> None:
    table = with_replies(120)
    unknown = np.full((120, 1), np.nan)
    matrices = ("score", "cost", "input_tokens", "output_tokens", "latency")
    more = {name: np.hstack([getattr(table, name), unknown]) for name in matrices}
    made = fit(replace(table, models=(*table.models, "zzz"), **more))  # type: ignore[arg-type]
    assert made.estimator.models == table.models and made.cascade is not None
    assert np.isfinite(made.estimator.prior.line).all()


DEFINITION = """
version: 1
models:
  algebra: {backend: openai, model: a, base_url: "http://127.0.0.1:1", price: {input: 1, output: 1}}
  large: {backend: openai, model: b, base_url: "http://127.0.0.1:1", price: {input: 10, output: 10}}
routers:
  best: {fitted: {artefact: router.safetensors, models: [algebra, large]KNOB}}
agents:
  main: {router: best}
entry: main
"""


@pytest.mark.parametrize(
    ("knob", "chosen"),
    [
        (", quality_per_usd: 1000000", "algebra"),
        (", usd_per_query: 0.0001", "algebra"),
        ("", "large"),
    ],
)
def test_a_definition_names_an_artefact_beside_it(
    artefact: Artefact, tmp_path: Path, knob: str, chosen: str
) -> None:
    path = tmp_path / "agentkit.yaml"
    path.write_text(DEFINITION.replace("KNOB", knob))
    with pytest.raises(ConfigError, match="router.safetensors does not exist"):
        load_definition(path)
    artefact.save(tmp_path / "router.safetensors")
    agent = load_definition(path)
    cards = [backend.card for backend in agent.backends.values()]
    bounds = {card.name: Cost(usd=1) for card in cards}
    decision = agent.router.next(Query("war empire crown", bounds), cards, (), VIEW)
    assert isinstance(decision, Call) and decision.model == chosen


def test_a_definition_may_have_replies_verified(tmp_path: Path) -> None:
    """Off unless it is asked for; refused where it could change nothing, unless it is to be recorded."""
    table, path = with_replies(200), tmp_path / "agentkit.yaml"
    said = tuple({"algebra": (Voted(Votes("algebra", 8 * int(right), 8), right),)} for right in table.score[:, 0])
    made = fit(replace(table, votes=said))
    assert made.voters == {"algebra"} and fit(table).voters == frozenset()
    stage = Stage.of(table)
    for artefact, verify, votes in (
        (made, "", False),
        (made, ", self_verify: {by: algebra, votes: 3}", True),
        (fit(table), ", self_verify: {by: algebra, always: true}", True),
    ):
        artefact.save(tmp_path / "router.safetensors")
        assert load(tmp_path / "router.safetensors").voters == artefact.voters
        path.write_text(DEFINITION.replace("KNOB", f", quality_per_usd: 200{verify}"))
        router = load_definition(path).router
        on = [
            router.next(query, stage.cards, [outcomes["algebra"]], VIEW)
            for query, outcomes in zip(stage.queries, stage.outcomes, strict=True)
        ]
        assert any(isinstance(one, Call) and one.ask is not None for one in on) is votes
    path.write_text(DEFINITION.replace("KNOB", ", self_verify: {by: algebra}"))
    with pytest.raises(ConfigError, match="not fitted on votes of 'algebra'"):
        load_definition(path)


def test_a_stream_expects_what_training_was_like(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "router.safetensors"
    query, left = Query("war empire crown", BOUNDS), {"usd": round(0.5 * NANO)}
    view, prices = VIEW._replace(limits=left, available=left), []
    dearer = replace(artefact.forecast, cost=artefact.forecast.cost * 4)
    for made in (artefact, replace(artefact, forecast=dearer)):
        made.save(path)
        streams = [one.stream(500) for one in (made, load(path))]
        for stream in streams:
            assert isinstance(stream.next(query, TABLE.cards(), (), view), Call)
        before, after = (stream.quality_per_usd for stream in streams)
        assert before == after
        prices.append(after)
    assert artefact.forecast.quality.shape == TABLE.score.shape
    assert prices[0] != prices[1]


def test_the_queries_kept_for_streams_cost_at_the_least_what_all_do() -> None:
    cost = np.random.default_rng(0).lognormal(0.0, 1.5, (3_000, 2))
    quality = np.arange(6_000.0).reshape(3_000, 2)
    kept = Forecast.draw(quality, cost)
    assert len(kept.cost) == WINDOW and kept.cost.min(axis=1).mean() == pytest.approx(
        cost.min(axis=1).mean(), rel=0.01
    )
    rows = [int(np.flatnonzero(quality[:, 0] == one)[0]) for one in kept.quality[:, 0]]
    assert len(set(rows)) == WINDOW and np.allclose(kept.cost, cost[rows])
    assert len(Forecast.draw(quality[:9], cost[:9]).cost) == 9


@pytest.mark.parametrize(("dollars", "dear"), [(0.05, False), (10.0, True)])
def test_a_stream_is_priced_from_its_first_query_on(artefact: Artefact, dollars: float, dear: bool) -> None:
    left = {"usd": round(dollars * NANO)}
    view = VIEW._replace(limits=left, available=left)
    decision = artefact.stream(500).next(Query("war empire crown", BOUNDS), TABLE.cards(), (), view)
    assert isinstance(decision, Call) and (decision.model == "large") is dear


def test_a_definition_may_prefer_and_limit(artefact: Artefact, tmp_path: Path) -> None:
    latency = np.tile([1.0, 1.0, 9.0], (200, 1))
    fit(replace(TABLE, latency=latency), heads=["linear"]).save(tmp_path / "router.safetensors")
    path, query = tmp_path / "agentkit.yaml", Query("war empire crown", BOUNDS)
    for prefer, chosen in (
        ("", "large"),
        (", prefer: {quality_per_second: 1}", "algebra"),
        (", prefer: {seconds_at_most: 5}", "algebra"),
        (", prefer: {usd_at_most: 0.0000000001}", None),
        (", prefer: {needs: [prefill]}", None),
    ):
        path.write_text(DEFINITION.replace("KNOB", f", quality_per_usd: 0{prefer}"))
        agent = load_definition(path)
        cards = [backend.card for backend in agent.backends.values()]
        decision = agent.router.next(query, cards, (), VIEW)
        assert (decision.model if isinstance(decision, Call) else None) == chosen


def test_with_preferences_it_is_never_the_best_single_model_alone(artefact: Artefact) -> None:
    made = replace(artefact, choice=replace(artefact.choice, over_best=(-0.1, 0.1)))
    wanted = Preferences(usd=0.0000000005)
    decision = made.router(preferences=wanted).next(Query("sum", BOUNDS), TABLE.cards(), (), VIEW)
    assert not isinstance(decision, Call)
    streamed = made.stream(9, preferences=wanted).next(Query("sum", BOUNDS), TABLE.cards(), (), VIEW)
    assert not isinstance(streamed, Call)


def test_a_definition_may_say_how_many_queries_there_will_be(artefact: Artefact, tmp_path: Path) -> None:
    artefact.save(tmp_path / "router.safetensors")
    path = tmp_path / "agentkit.yaml"
    path.write_text(DEFINITION.replace("KNOB", ", expected_queries: 100"))
    router = load_definition(path).router
    assert isinstance(router, ShadowPriceRouter) and router.expected == 100
    path.write_text(DEFINITION.replace("KNOB", ", expected_queries: 100, usd_per_query: 0.1"))
    with pytest.raises(ConfigError, match="takes one of usd_per_query and expected_queries"):
        load_definition(path)
