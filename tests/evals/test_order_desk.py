"""The order desk: the split holds, the questions are right, and the embedded models really read the database."""

import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentkit import Agent, Budget
from agentkit.budgets import Ledger, Tracker
from agentkit.costs import Cost
from agentkit.errors import ToolFailed
from agentkit.evals.suites.order_desk.agent import desk_agent, draw_questions, score
from agentkit.evals.suites.order_desk.conversations import Lessons
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.distractors import distractors
from agentkit.evals.suites.order_desk.names import Names, split_of
from agentkit.evals.suites.order_desk.phrasings import KINDS, phrasings
from agentkit.evals.suites.order_desk.questions import draw_question, is_correct, stated_value
from agentkit.evals.suites.order_desk.tools import desk_tools
from agentkit.local_models import LocalBackend
from agentkit.local_models.zoo import CARDS, folder
from agentkit.messages import ToolCall
from agentkit.tools import invoke
from agentkit.types import Conversation
from agentkit.wrap_up import wrap_up_prompt

pytestmark = pytest.mark.anyio

ENTITY = r"(?:\d{5}|[A-Z][a-z]+ [A-Z][a-z]+)"


def _training() -> list[Conversation]:
    lessons = Lessons(9)
    return [lessons.draw(level) for level in range(lessons.levels) for _ in range(60)]


TRAINING = _training()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk.create(5, "test")
    yield desk
    desk.close()


def texts(talks: list[Conversation]) -> str:
    return "\n".join(message.text for talk in talks for message in talk.messages)


# ---------------------------------------------------------------- the split
def test_no_name_or_id_of_a_test_desk_occurs_in_training(desk: Desk) -> None:
    said = texts(TRAINING)
    words = set(re.findall(r"[A-Z][a-z]+|\d{5}", said))
    people = {word for name in desk.keys("customers") for word in name.split()}
    goods = {name.split()[0] for name in desk.keys("products")}  # the kind of good is a common word
    orders = {str(order) for order in desk.keys("orders")}
    assert not words & (people | goods | orders)


def test_no_sentence_of_a_test_question_occurs_in_training() -> None:
    asked = [message.text for talk in TRAINING for message in talk.messages if message.role == "user"]
    for kind in KINDS:
        for template in phrasings(kind, "test"):
            pattern = re.compile(re.escape(template).replace(r"\{a\}", ENTITY).replace(r"\{b\}", ENTITY))
            assert not any(pattern.fullmatch(text) for text in asked), template


def test_every_kind_has_sentences_in_both_splits() -> None:
    for kind in KINDS:
        assert phrasings(kind, "train") and phrasings(kind, "test")
        assert not set(phrasings(kind, "train")) & set(phrasings(kind, "test"))


def test_generated_names_belong_to_their_split() -> None:
    names = Names(random.Random(1), "test")
    for _ in range(200):
        assert split_of(str(names.order_id())) == "test"
        assert all(split_of(word) == "test" for word in names.person().split())


def test_distractors_of_the_test_split_are_not_trained_on() -> None:
    trained = {spec.name for talk in TRAINING for spec in talk.tools}
    assert not trained & {spec.name for spec in distractors(random.Random(2), "test", 32)}


# ---------------------------------------------------------------- questions
@pytest.mark.parametrize("kind", KINDS)
async def test_the_steps_of_a_question_lead_to_its_answer(kind: str, desk: Desk) -> None:
    tools = {tool.name: tool for tool in desk_tools(desk)}
    question = draw_question(random.Random(3), desk, "test", kind)
    for name, arguments in question.steps:
        result = await invoke(tools[name], ToolCall("1", name, json.dumps(arguments)))
        assert not result.is_error
    assert question.answer in result.content
    assert is_correct(question, question.sentence)


def test_a_wrong_or_absent_value_is_not_correct(desk: Desk) -> None:
    question = draw_question(random.Random(3), desk, "test", "order.total")
    assert not is_correct(question, "The total is 1.00.")
    assert not is_correct(question, f"{question.answer} it is")
    assert stated_value("There is no order 5.") is None


def test_questions_alternate_between_one_and_two_look_ups(desk: Desk) -> None:
    questions = draw_questions(desk, "test", 40, seed=1)
    assert sum(question.is_two_step for question in questions) == 20
    assert questions == draw_questions(desk, "test", 40, seed=1)


# ---------------------------------------------------------------- what training shows is what runs show
async def test_training_shows_budget_notes_as_the_tracker_writes_them() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("run", limits={"usd": 100})
        hold = await scope.reserve(Cost(usd=77), dispatch=True)
        await hold.settle(Cost(usd=77))
        note = Tracker().note(scope.view())
    assert note == "Budget LOW: 23% of usd left."
    pattern = r"\nBudget (?:MEDIUM|LOW|CRITICAL): \d+% of \w+ left\.$"
    notes = [m for talk in TRAINING for m in talk.messages if m.role == "tool" and "Budget" in m.text]
    assert notes and all(re.search(pattern, message.text) for message in notes)
    assert re.search(pattern, f"\n{note}")


async def test_training_shows_a_missing_row_as_the_tools_report_it(desk: Desk) -> None:
    tools = {tool.name: tool for tool in desk_tools(desk)}
    result = await invoke(tools["get_order"], ToolCall("1", "get_order", '{"order_id": 1}'))
    assert result.content == f"Error: {ToolFailed('get_order', 'no order 1')}"
    errors = [
        m.text for talk in TRAINING for m in talk.messages if m.role == "tool" and m.text.startswith("Error")
    ]
    assert errors and all(re.match(r"Error: tool '\w+' failed: no ", text) for text in errors)


def test_training_shows_the_wrap_up_prompt_of_a_run() -> None:
    head, _, tail = wrap_up_prompt("TASK", ["FACT"]).partition("TASK")
    closing = wrap_up_prompt("TASK", ["FACT"]).rpartition("- FACT")[2]
    assert not head and any(m.text.endswith(closing) for talk in TRAINING for m in talk.messages)


# ---------------------------------------------------------------- the embedded models
@pytest.fixture(scope="module")
def nano() -> LocalBackend:
    return LocalBackend(CARDS["nano"], folder("nano"))


@pytest.mark.parametrize("name", CARDS)
def test_a_model_card_tells_the_checksum_of_its_weights(name: str) -> None:
    digest = hashlib.sha256((folder(name) / "model.safetensors").read_bytes()).hexdigest()
    assert digest in (folder(name) / "README.md").read_text()


@pytest.mark.parametrize("name", CARDS)
def test_embedded_models_keep_to_their_size(name: str) -> None:
    from agentkit.local_models.weights import load_model

    size = sum(parameter.numel() for parameter in load_model(folder(name)).parameters())
    assert size <= {"pico": 350_000, "nano": 1_000_000}[name]


async def test_nano_answers_most_unseen_questions(nano: LocalBackend, desk: Desk) -> None:
    agent = desk_agent(desk, [nano])
    scores = [
        await score(agent, question, Budget.unlimited()) for question in draw_questions(desk, "test", 40, seed=2)
    ]
    assert sum(item.correct for item in scores) >= 34


async def test_answers_follow_the_database(nano: LocalBackend, desk: Desk) -> None:
    """The same questions over another database: what was learned is to look up, not what to say."""
    order = desk.keys("orders")[0]
    product = desk.order(order)["product"]  # type: ignore[index]
    asked = {f"What is the status of order {order}?": "status", f"What is the price of {product}?": "price"}
    before = await _answers(desk_agent(desk, [nano]), list(asked))
    desk.connection.execute("UPDATE orders SET status = 'returned' WHERE id = ?", (order,))
    desk.connection.execute("UPDATE products SET price = '123.45' WHERE name = ?", (product,))
    after = await _answers(desk_agent(desk, [nano]), list(asked))
    assert after == ["The status is returned.", "The price is 123.45."]
    assert before != after


async def _answers(agent: Agent[str], questions: list[str]) -> list[str]:
    return [(await agent.run(question, budget=Budget.unlimited())).text for question in questions]


def test_the_zoo_folders_are_complete() -> None:
    for name in CARDS:
        found = {path.name for path in Path(folder(name)).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"} <= found
