"""What runs teach: lessons off a trace, estimates that move as far as they should, artefacts that keep them."""

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agentkit import Agent
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, ConfigError, TableError
from agentkit.executor.resilience import Resilience
from agentkit.routers import Estimate, Query, RuleRouter
from agentkit.routers.artefact import Artefact, load
from agentkit.routers.estimators.table_traces import read_traces
from agentkit.routers.fit import fit
from agentkit.routers.learning import Learnt
from agentkit.routers.lessons import Lesson, read_lessons
from agentkit.routers.votes import VoteRouter
from agentkit.trace import JsonlSink
from agentkit.types import Request
from tests.routers.estimators.replies import with_replies
from tests.scenario import agent, card

TABLE = with_replies(120)


def lesson(score: float | None, model: str = "algebra", nano: float = 1e6) -> Lesson:
    return Lesson("What is 2 + 2?", model, score, nano, 10.0, 5.0, 1.0, "", 1.0)


def right(task: str, answer: str) -> bool:
    return answer.startswith("right")


def percent(task: str, answer: str) -> float:
    return 90


def always(score: float, task: str, answer: str) -> float:
    return score


def broken(task: str, answer: str) -> float:
    raise KeyError("gold")


@pytest.fixture(scope="module")
def fitted() -> Artefact:
    return fit(TABLE)


@pytest.fixture
def artefact(fitted: Artefact, tmp_path: Path) -> Artefact:
    """One of its own for each test, since it learns."""
    fitted.save(tmp_path / "fitted.safetensors")
    return load(tmp_path / "fitted.safetensors")


def quality(artefact: Artefact, model: str = "algebra", text: str = "What is 3 + 3?") -> float:
    made = artefact.learner().estimator.estimate(Query(text, {}), [card(model)], ())
    return made[0].quality


# ---------------------------------------------------------------- what is learnt of one model
def test_scores_move_an_estimate_towards_the_truth_and_no_further() -> None:
    draw, learnt, expected = random.Random(1), Learnt(), Estimate(0.8, 0.05, Cost(usd=1_000_000))
    seen = []
    for _ in range(600):
        learnt.learn(lesson(float(draw.random() < 0.3)), expected)
        seen.append(learnt.quality(0.8))
    assert 0 < abs(seen[0] - 0.8) < 0.05  # one score is one score
    assert abs(seen[-1] - 0.3) < 0.06


def test_a_firm_estimate_moves_less_than_a_loose_one() -> None:
    firm, loose = Learnt(), Learnt()
    for _ in range(5):
        firm.learn(lesson(0.0), Estimate(0.8, 0.02, Cost()))
        loose.learn(lesson(0.0), Estimate(0.8, 0.2, Cost()))
    assert loose.quality(0.8) < 0.5 < 0.7 < firm.quality(0.8) < 0.8


def test_amounts_follow_what_was_used() -> None:
    learnt = Learnt()
    for _ in range(200):
        learnt.learn(lesson(None, nano=3e6), Estimate(0.8, 0.1, Cost(usd=1_000_000, output_tokens=5)))
    assert 2.6e6 < learnt.cost(Cost(usd=1_000_000))["usd"] < 3e6
    assert learnt.cost(Cost(output_tokens=5))["output_tokens"] == 5
    assert learnt.quality(0.8) == pytest.approx(0.8)  # nobody said how good it was


# ---------------------------------------------------------------- lessons off a trace
@pytest.mark.anyio
async def test_a_run_teaches_what_it_used_and_whose_answer_it_was(tmp_path: Path) -> None:
    models = ScriptedBackend("", card=card("pico")), ScriptedBackend("right it is", card=card("nano", "5"))
    file = tmp_path / "trace.jsonl"
    answer = await agent(models, tools=()).run("A question?", trace=JsonlSink(file))
    pico, nano = read_lessons(file, right)
    assert (pico.model, pico.score, pico.answer) == ("pico", 0.0, "")  # its reply was empty
    assert (nano.model, nano.score, nano.answer) == ("nano", 1.0, "right it is")
    assert pico.nano_usd + nano.nano_usd == answer.spent["usd"]
    assert (nano.output_tokens, nano.input_tokens) == (3, 2)
    assert [one.score for one in read_lessons(file)] == [None, None]  # to count but the bad ones would be unfair


@pytest.mark.anyio
async def test_a_call_that_broke_says_nothing_of_quality(tmp_path: Path) -> None:
    models = ScriptedBackend(BackendUnavailable("pico", "down"), card=card("pico")), ScriptedBackend("right")
    once = Resilience(retry=RetryPolicy.never())
    await agent(models, tools=(), resilience=once).run("A?", trace=JsonlSink(tmp_path / "t.jsonl"))
    assert [one.model for one in read_lessons(tmp_path / "t.jsonl", right)] == ["scripted"]


@pytest.mark.anyio
async def test_of_several_valid_replies_the_verdict_is_for_the_one_that_was_taken(tmp_path: Path) -> None:
    says = {"one": "right 7", "two": "wrong 8", "three": "right 7"}
    models = [ScriptedBackend(text, card=card(name)) for name, text in says.items()]
    made = agent(models, tools=(), router=VoteRouter(tuple(says)))
    answer = await made.run("A question?", trace=JsonlSink(tmp_path / "t.jsonl"))
    found = {one.model: (one.score, one.answer) for one in read_lessons(tmp_path / "t.jsonl", right)}
    assert answer.output == "right 7"
    assert found == {"one": (1.0, "right 7"), "two": (None, ""), "three": (None, "")}


@pytest.mark.anyio
async def test_the_answer_of_a_wrap_up_says_nothing_of_the_model_before(tmp_path: Path) -> None:
    nano = ScriptedBackend(calls(("find_order", {"number": 7})), card=card("nano", "2"))
    models = nano, ScriptedBackend("right", card=card("pico", "1"))
    made = agent(models, router=RuleRouter(["nano"]), max_steps=1)
    answer = await made.run("Where is order 7?", trace=JsonlSink(tmp_path / "t.jsonl"))
    assert answer.status == "degraded" and answer.text.startswith("right")
    assert [one.score for one in read_lessons(tmp_path / "t.jsonl", right)] == [None]


@pytest.mark.anyio
async def test_a_verdict_that_breaks_or_is_out_of_range_is_named_with_the_task(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    await agent(tools=()).run("Where is order 7?", trace=JsonlSink(file))
    wrong = r"verdict tests\.routers\.test_learning:percent says 90 of the task 'Where is order 7\?'; give 0 to 1"
    with pytest.raises(ConfigError, match=wrong):
        list(read_lessons(file, percent))
    with pytest.raises(ConfigError, match=r":broken broke on the task 'Where is order 7\?': KeyError\('gold'\)"):
        list(read_lessons(file, broken))
    for odd in (-0.1, float("nan")):
        with pytest.raises(ConfigError, match="give 0 to 1"):
            list(read_lessons(file, partial(always, odd)))


@pytest.mark.anyio
async def test_turns_of_several_models_are_scaled_to_the_run(tmp_path: Path) -> None:
    await agent().run("Where is order 7?", trace=JsonlSink(tmp_path / "t.jsonl"))
    (one,) = read_lessons(tmp_path / "t.jsonl", lambda task, answer: 0.5)
    assert one.score == 0.5 and one.output_tokens > 5  # both turns


def test_a_file_that_is_no_trace_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"kind": "run"}\n')
    with pytest.raises(TableError, match=r"t\.jsonl:1: this is no event"):
        list(read_lessons(tmp_path / "t.jsonl"))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(TableError, match="give a verdict"):
        read_traces(tmp_path / "empty.jsonl")


# ---------------------------------------------------------------- artefacts that learn
def says(name: str, share: float) -> Callable[[Request], str]:
    draw = random.Random(name)
    return lambda request: "right" if draw.random() < share else "no"


def made(artefact: Artefact) -> Agent[str]:
    models = [
        ScriptedBackend("wrong", card=card(name, price)) for name, price in zip(TABLE.models, "128", strict=True)
    ]
    return agent(models, tools=(), router=artefact.router(0.0))


@pytest.mark.anyio
async def test_a_router_learns_when_it_is_asked_to_and_keeps_it(artefact: Artefact, tmp_path: Path) -> None:
    before = {model: quality(artefact, model) for model in TABLE.models}
    agent_, file = made(artefact), tmp_path / "trace.jsonl"
    await agent_.run("What is 1 + 1?", trace=JsonlSink(file))
    assert {model: quality(artefact, model) for model in TABLE.models} == before  # nobody asked
    learner = artefact.learner(right)
    for number in range(30):
        answer = await agent_.run(f"What is {number} + 1?", trace=learner)
    said = answer.receipts[-1].what.removeprefix("model:")
    lower = [model for model in TABLE.models if quality(artefact, model) < before[model] - 0.05]
    assert lower and set(lower) <= set(TABLE.models)
    artefact.save(tmp_path / "learnt.safetensors")
    again = load(tmp_path / "learnt.safetensors")
    assert [quality(again, m) for m in TABLE.models] == [quality(artefact, m) for m in TABLE.models]
    assert again.lessons.models[said].runs > 0


@pytest.mark.anyio
async def test_a_trace_is_learnt_from_once(artefact: Artefact, tmp_path: Path) -> None:
    file, agent_ = tmp_path / "trace.jsonl", made(artefact)
    await agent_.run("What is 1 + 1?", trace=JsonlSink(file))
    assert artefact.learn(file, verdict=right) > 0
    assert artefact.learn(file, verdict=right) == 0
    await agent_.run("What is 1 + 1?", trace=JsonlSink(file))
    assert artefact.learn(file, verdict=right) > 0


@pytest.mark.anyio
async def test_a_router_is_fitted_on_traces(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    for name, price, share in (("small", "1", 0.5), ("large", "9", 1.0)):
        backend = ScriptedBackend(says(name, share), card=card(name, price))
        for number in range(40):
            await agent(backend, tools=()).run(f"Question {number}?", trace=JsonlSink(file))
    table = read_traces(file, right)
    assert table.models == ("large", "small") and len(table.items) == 40
    assert table.score[:, 0].mean() == 1.0 and 0.3 < table.score[:, 1].mean() < 0.7
    assert table.cost[0, 0] == pytest.approx(9 * table.cost[0, 1])
    assert not json.dumps(table.digest).count("+")
    artefact = fit(file, verdict=right)
    assert artefact.choice.best_model == "large" and artefact.tables == {"trace": table.digest}
