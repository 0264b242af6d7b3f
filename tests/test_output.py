"""Typed output: what the model is told, how its text is read, and what becomes of text that does not fit."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from agentkit.agent import Agent
from agentkit.backends.fake import ScriptedBackend
from agentkit.costs import Budget
from agentkit.errors import OutputError
from agentkit.output import OutputType
from tests.scenario import TASK, card, check_answer

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    number: int
    shipped: bool


@dataclass
class Point:
    x: int
    y: int


GOOD = '{"number": 7, "shipped": true}'

READ: list[tuple[type[Any], str, Any]] = [
    (str, " as it is ", " as it is "),
    (Order, GOOD, Order(number=7, shipped=True)),
    (Order, f"```json\n{GOOD}\n```", Order(number=7, shipped=True)),
    (Order, f"\n```\n{GOOD}\n```\n", Order(number=7, shipped=True)),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (list[int], "[1, 2]", [1, 2]),
    (int, " 5 ", 5),
]

REFUSED: list[tuple[type[Any], str, str]] = [
    (Order, "", "the answer: Invalid JSON"),
    (Order, "The order has shipped.", "the answer: Invalid JSON"),
    (Order, '{"number": "seven", "shipped": true}', "number: Input should be a valid integer"),
    (Order, '{"number": 7}', "shipped: Field required"),
    (Order, f"Here it is: {GOOD}", "the answer: Invalid JSON"),
    (list[int], '[1, "x"]', "1: Input should be a valid integer"),
    (int, "```", "the answer: Invalid JSON"),
]


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_read(kind: type[Any], text: str, value: Any) -> None:
    output: OutputType[Any] = OutputType(kind)
    assert output.read(text) == value
    assert output.problems(text) == ()


@pytest.mark.parametrize(("kind", "text", "problem"), REFUSED)
def test_refused(kind: type[Any], text: str, problem: str) -> None:
    output: OutputType[Any] = OutputType(kind)
    with pytest.raises(OutputError) as caught:
        output.read(text)
    assert caught.value.text == text
    assert any(line.startswith(problem) for line in caught.value.problems)
    assert output.problems(text) == caught.value.problems


def test_what_the_model_is_told() -> None:
    assert (OutputType(str).schema, OutputType(str).instructions) == (None, "")
    output = OutputType(Order)
    assert output.schema is not None and output.schema["required"] == ["number", "shipped"]
    assert json.dumps(output.schema, separators=(",", ":")) in output.instructions


async def test_a_valid_answer_is_read_and_the_schema_is_sent() -> None:
    backend = ScriptedBackend(GOOD)
    answer = await Agent(backend, output_type=Order, instructions="Be exact.").run(TASK)
    assert answer.output == Order(number=7, shipped=True) and answer.text == GOOD
    assert (answer.status, answer.stop_reason, answer.unmet) == ("complete", "answered", ())
    (request,) = backend.requests
    assert request.output_schema == OutputType(Order).schema
    assert request.messages[0].text.startswith("Be exact.\nAnswer with JSON only")


async def test_an_invalid_answer_is_degraded_and_never_invented() -> None:
    answer = await Agent(ScriptedBackend("It has shipped."), output_type=Order).run(TASK)
    assert (answer.status, answer.stop_reason, answer.output) == ("degraded", "invalid_output", None)
    assert answer.text == "It has shipped." and len(answer.unmet) == 1
    check_answer(answer)


async def test_an_invalid_answer_escalates_to_the_next_model() -> None:
    small = ScriptedBackend("It has shipped.", card=card("small"))
    large = ScriptedBackend(GOOD, card=card("large", "9"))
    answer = await Agent([small, large], output_type=Order).run(TASK)
    assert answer.output == Order(number=7, shipped=True)
    assert (len(small.requests), len(large.requests)) == (1, 1)


async def test_a_wrap_up_is_asked_for_the_type_as_well() -> None:
    backend = ScriptedBackend(GOOD)
    subject = Agent(backend, output_type=Order)
    answer = await subject.run(TASK, budget=Budget(tokens=subject.minimum(TASK)["tokens"]))
    assert (answer.status, answer.output) == ("exhausted", Order(number=7, shipped=True))
    assert backend.requests[0].output_schema == OutputType(Order).schema


async def test_below_the_minimum_there_is_no_output_even_for_text() -> None:
    answer = await Agent(ScriptedBackend("Yes.")).run(TASK, budget=Budget(tokens=1))
    assert (answer.status, answer.output, answer.text) == ("infeasible", None, "")
