"""Plans are read as they are written: however the text is cut, the same steps come out, as early as they can."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.planner import OnFailure, Ref, Step, ToolUse
from agentkit.planner.plan_text import PlanReader
from agentkit.tools import Registry, tool

ISOLATE = OnFailure("isolate")


@tool
async def look_up(name: str, limit: int = 5) -> str:
    "Look up."
    return name


@tool
async def add(numbers: list[int]) -> int:
    "Add."
    return sum(numbers)


TOOLS = Registry((look_up, add))

LINES = (
    '{"id": "a", "tool": "look_up", "with": {"name": "a }}} b \\" \\\\"}}',
    '{"id": 2, "tool": "add", "arguments": {"numbers": [1, {"$from": "a", "path": ["items", 0]}]}, "why": ""}',
    '{"id": "c", "task": "Compare {both}.", "needs": ["a", 2]}',
)
TEXT = f"Thus I plan:\n```json\n{LINES[0]}\n{json.dumps(json.loads(LINES[1]), indent=1)},{LINES[2]}\n```\nDone }}."
STEPS = [
    Step("a", call=ToolUse("look_up", {"name": 'a }}} b " \\'}), on_failure=ISOLATE),
    Step("2", call=ToolUse("add", {"numbers": [1, Ref("a", ("items", 0))]}), on_failure=ISOLATE),
    Step("c", "Compare {both}.", ("a", "2"), on_failure=ISOLATE),
]


def reader(limit: int = 10) -> PlanReader:
    return PlanReader(TOOLS, ISOLATE, limit)


def read(*pieces: str) -> tuple[list[Step], list[str]]:
    subject = reader()
    return [step for piece in pieces for step in subject.feed(piece)], subject.problems


def test_every_split_in_two_gives_the_same_steps() -> None:
    for place in range(len(TEXT) + 1):
        assert read(TEXT[:place], TEXT[place:]) == (STEPS, [])


@given(st.lists(st.integers(0, len(TEXT))))
def test_every_split_gives_the_same_steps(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[begin:end] for begin, end in zip(places, places[1:], strict=False)]
    assert read(*pieces) == (STEPS, [])


@given(st.text(alphabet='{}[]":,\\ \nab1$', max_size=60), st.data())
def test_any_text_is_read_the_same_however_it_is_cut(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    assert read(text[:place], text[place:]) == read(text)


def test_a_step_is_there_with_its_last_brace() -> None:
    subject = reader()
    assert subject.feed(LINES[0][:-1]) == []
    assert subject.feed(LINES[0][-1]) == STEPS[:1]


def test_a_plan_may_be_one_object_or_a_list() -> None:
    assert read(f'{{"steps": [{",".join(LINES)}]}}') == read(f"[{','.join(LINES)}]") == (STEPS, [])


BROKEN = {
    "unknown tool": ('{"id": "x", "tool": "lok_up"}', "did you mean 'look_up'"),
    "unknown argument": ('{"id": "x", "tool": "look_up", "with": {"name": "n", "top": 1}}', "'top' is unknown"),
    "wrong type": ('{"id": "x", "tool": "look_up", "with": {"name": "n", "limit": "five"}}', "integer"),
    "wrong beside a reference": (
        f'{LINES[0]}\n{{"id": "x", "tool": "look_up", "with": {{"name": {{"$from": "a"}}, "limit": "five"}}}}',
        "'limit'",
    ),
    "missing beside a reference": (
        f'{LINES[0]}\n{{"id": "x", "tool": "look_up", "with": {{"limit": {{"$from": "a"}}}}}}',
        "'name'",
    ),
    "unknown step": ('{"id": "x", "task": "t", "needs": ["y"]}', "no step 'y' above it"),
    "a step below": ('{"id": "x", "tool": "look_up", "with": {"name": {"$from": "y"}}}', "no step 'y' above it"),
    "reference as text": (f'{LINES[0]}{{"id": "x", "tool": "look_up", "with": {{"name": "$a"}}}}', "plain text"),
    "broken reference": (
        '{"id": "x", "tool": "look_up", "with": {"name": {"$from": "a", "of": 1}}}',
        "is no reference",
    ),
    "taken id": (f'{LINES[0]}{{"id": "a", "task": "t"}}', "there is a step 'a' already"),
    "bad id": ('{"id": "a b", "task": "t"}', "letters, digits"),
    "neither": ('{"id": "x", "thought": "hm"}', "a tool or a task"),
    "needs is text": ('{"id": "x", "task": "t", "needs": "a"}', "list of step ids"),
    "with is a list": ('{"id": "x", "tool": "look_up", "with": ["n"]}', "object of arguments"),
    "not JSON": ('{"id": x}', "not JSON"),
    "line end in a string": ('{"id": "x\n"}', "not JSON"),
}


@pytest.mark.parametrize(("text", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_step_that_cannot_run_is_a_problem_and_no_more(text: str, problem: str) -> None:
    steps, problems = read(text + '\n{"id": "after", "task": "t"}')
    assert steps[-1].id == "after" and "x" not in {step.id for step in steps}
    assert len(problems) == 1 and problem in problems[0]


def test_a_plan_has_an_end() -> None:
    subject = reader(limit=2)
    assert [step.id for step in subject.feed("".join(f'{{"id": "s{n}", "task": "t"}}' for n in range(4)))] == [
        "s0",
        "s1",
    ]
    assert len(subject.problems) == 2 and "2 steps at most" in subject.problems[0]


def test_a_correction_may_refer_to_steps_that_stand() -> None:
    subject = reader()
    subject.feed(LINES[0] + '{"id": "b", "tool": "nope"} {"id": "cut of')
    subject.begin_again()
    (step,) = subject.feed('{"id": "b", "tool": "look_up", "with": {"name": {"$from": "a"}}}')
    assert step.needs == ("a",) and subject.problems == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "x", "look_up", "add", "$a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$from", "path", "name", "limit", "numbers", "id"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["id", "tool", "with", "args", "task", "needs", "steps"]), JSON, max_size=6),
)
def test_whatever_is_written_is_a_step_or_a_problem(entry: dict[str, object]) -> None:
    subject = reader()
    subject.feed(LINES[0])
    found = subject.feed(json.dumps(entry))
    entries = next((v for v in (entry.get("steps"),) if isinstance(v, list)), [entry])
    assert len(found) + len(subject.problems) == sum(isinstance(each, dict) for each in entries)
    for step in found:
        assert set(step.needs) <= {"a"} | {each.id for each in found}


def test_what_is_nested_too_deep_is_a_problem() -> None:
    deep = '{"id": "x", "tool": "look_up", "with": {"name": ' + "[" * 20_000 + "]" * 20_000 + "}}"
    steps, problems = read(deep, LINES[0])
    assert steps == STEPS[:1] and len(problems) == 1
    for depth in range(100, 1_000, 100):
        nested = '{"id": "x", "tool": "look_up", "with": {"name": ' + "[" * depth + "]" * depth + "}}"
        assert read(nested)[0] == []
