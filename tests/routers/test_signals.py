"""What a reply shows of itself: its final answer, and what is measured of it."""

import pytest

from agentkit.costs import Cost
from agentkit.messages import Message, ToolCall, assistant
from agentkit.routers import Outcome
from agentkit.routers.signals import SIGNALS, final_answer, signals
from agentkit.types import Completion, TokenLogprob
from agentkit.usage import Usage


def reply(text: str, **changed: object) -> Completion:
    return Completion(assistant(text), "stop", **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"reasoning": "so 3", "answer": "42"}', "42.0"),
        ('```json\n{"reasoning": "x",\n "answer": [1, 2]\n}```', "[1,2]"),
        ("We get $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("4 + 4 = 8\n#### 8", "8.0"),
        ("Long reasoning. The answer is 1,200 dollars.", "1200.0"),
        ("**Answer:** Paris", "paris"),
        ("Yes.", "yes"),
        ("$5", "5.0"),
        ("2:00 pm", "2:00pm"),
        ("She starts with 3 apples and buys 4 more at the market, so that she has 7 apples in the end.", "7.0"),
        ("This is a long text without any number or mark in it, so nothing can be taken for its answer.", ""),
        ("", ""),
    ],
)
def test_the_final_answer(text: str, answer: str) -> None:
    assert final_answer(reply(text)) == answer


def test_tool_calls_are_an_answer() -> None:
    calls = Completion(Message("assistant", "", (ToolCall("1", "add", '{"a": 1}'),)), "tool_calls")
    other = Completion(Message("assistant", "", (ToolCall("2", "add", '{"a": 1}'),)), "tool_calls")
    assert final_answer(calls) == final_answer(other) != ""


def measured(
    completion: Completion | None, question: str = "", problems: tuple[str, ...] = ()
) -> dict[str, float]:
    return dict(zip(SIGNALS, signals(Outcome("m", completion, Cost(), problems), question), strict=True))


def test_without_a_reply_there_is_nothing_to_measure() -> None:
    assert set(measured(None).values()) == {0.0}


def test_what_is_measured() -> None:
    text = "12 + 3 = 15, 7 * 2 = 15, 10 / 3 = 3.33, 4 / 0 = 9\nHowever, that is not sure.\n#### -15"
    logprobs = TokenLogprob("a", -0.5, 1.0), TokenLogprob("b", -1.5, 0.25), TokenLogprob("c", -1.0)
    found = measured(
        reply(text, usage=Usage(input_tokens=1, output_tokens=3), logprobs=logprobs), problems=("it is wrong",)
    )
    assert found["valid"] == 0 and found["finished"] == 1 and found["marked"] == 1
    assert found["false_sums"] == pytest.approx(1.0986, abs=1e-4)  # ln(1 + 2)
    assert found["doubts"] == found["false_sums"]
    assert (found["confidence"], found["least_confidence"]) == (-1.0, -1.5)
    assert (found["margin"], found["least_margin"]) == (0.625, 0.25)  # of the tokens that have one
    assert (found["number"], found["whole"], found["negative"]) == (1, 1, 1)
    assert found["tokens"] == pytest.approx(1.3863, abs=1e-4)


def test_an_answer_that_the_question_holds_already() -> None:
    assert measured(reply("7"), "Of 7 apples, how many?")["given"] == 1
    assert measured(reply("8"), "Of 7 apples, how many?")["given"] == 0
    assert measured(Completion(assistant("7 and"), "length"))["finished"] == 0
