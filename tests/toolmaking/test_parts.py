"""The parts of tool making: families, proposals, prices, and what is the same twice."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from agentkit.errors import ConfigError
from agentkit.refining import refine
from agentkit.toolmaking import Economics, Example, Family, MadeTool, Solution, distil, read_families
from agentkit.toolmaking.abstraction import without_duplicates
from agentkit.toolmaking.example import family_of
from agentkit.toolmaking.made_tool import Demonstration
from agentkit.toolmaking.maker import Maker
from agentkit.toolmaking.proposal import Proposal
from tests.toolmaking.workshop import BOX, FAMILY, code, maker, task

SUMS = Family("sums", tuple(Example(f"What is {a} + {a + 3}?", str(2 * a + 3)) for a in (3, 14, 25, 106)))
CITIES = Family("cities", tuple(Example(f"Which country is {c} in?", c) for c in ("Rome", "Oslo", "Bern")))


@pytest.mark.parametrize(
    ("asked", "family"),
    [
        (task("meadow"), "reversing"),
        ("What is 7 + 12?", "sums"),
        ("Which country is Lima in?", "cities"),
        ("Which country has most inhabitants of them all?", None),
        ("Please book a table for tonight.", None),
        ("", None),
    ],
)
def test_a_task_belongs_where_its_words_do(asked: str, family: str | None) -> None:
    found = family_of(asked, (FAMILY, SUMS, CITIES))
    assert (found and found.name) == family


def test_families_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "solved.jsonl"
    rows = [{"family": "sums", "task": e.task, "answer": e.answer} for e in SUMS.examples]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_families(path) == (SUMS,)


@pytest.mark.parametrize(
    "text", ["[]", '{"family": "a", "task": "b"}', "no", '{"family":"a","task":"b","answer":""}']
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "solved.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError, match=r"solved\.jsonl:1: an example is"):
        read_families(path)


def test_two_examples_are_no_family() -> None:
    with pytest.raises(ConfigError, match="give 3 or more"):
        Family("few", SUMS.examples[:2])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def f(:", "not Python code"),
        ("x = 1", "exactly one function"),
        ('def f(): "a"\ndef g(): "b"', "exactly one function"),
        ('async def f(): "a"', "not async"),
        ("def f(a: int): return a", "no docstring"),
        ('def f(a): "a"', "'a' has no annotation"),
        ('def f(a: set[int]): "a"', "'a' cannot be filled from JSON"),
        ('def f(a: __import__("os")): "a"', "'a' cannot be filled from JSON"),
        ('def f(a: int = open("x")): "a"', "'a' cannot be filled from JSON"),
        ('def f(*a: int): "a"', "called by keyword"),
    ],
)
def test_a_proposal_that_is_no_tool_is_told_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Proposal.read(text)


def test_a_proposal_has_the_types_that_json_has() -> None:
    proposal = Proposal.read(
        'def _help(): pass\ndef f(a: list[dict[str, int]], *, b: float | None = None) -> str: "Doc."'
    )
    assert [(p.name, p.annotation, p.default) for p in proposal.parameters][1:] == [("b", float | None, None)]
    assert proposal.parameters[0].annotation == list[dict[str, int]] and proposal.shape == ("f", 2)
    assert proposal == Proposal.read(f"Sure!\n```python\n{proposal.code}\n\n\n# the end\n```")


def test_a_making_has_paid_after_its_price_over_the_saving() -> None:
    economics = Economics(making=1_000, uses=4, with_tool=400, directs=2, direct=800)
    assert (economics.saving, economics.break_even, economics.has_paid) == (300, 4, True)
    assert str(economics) == "made for $0.000001; has paid after 4 uses, of which 4 are done"
    dearer = Economics(making=1_000, uses=3, with_tool=1_500, directs=2, direct=800)
    assert dearer.break_even is None and dearer.is_loss and not dearer.has_paid


def made(name: str, body: str, *words: str) -> MadeTool:
    shown = tuple(Demonstration(word, json.dumps({"word": word})) for word in words)
    return MadeTool(name, Proposal.read(code(body, name)).code, shown)


TURNED = made("turned", "return word[::-1]", "ab", "cd")
TWINS = {
    "same name and arity, other behaviour": (
        made("turned", "return word + word + word", "ab", "cd"), [TURNED]
    ),
    "same behaviour, longer": (made("mirrored", "return ''.join(reversed(word))", "ef"), [TURNED]),
    "same on what was shown, other on the other's": (
        made("doubled", "return word[::-1] if len(word) == 2 else word", "abc"), None
    ),
    "one that fails is like no other": (made("broken", "return word[9]", "ef"), None),
}  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
def test_the_shortest_of_what_is_the_same_is_kept(twin: str) -> None:
    other, kept = TWINS[twin]

    async def go() -> tuple[MadeTool, ...]:
        with Ledger.open() as ledger:
            return await without_duplicates([other, TURNED], BOX, ledger.scope("app"))

    assert list(anyio.run(go)) == (kept or [other, TURNED])


def test_solutions_of_single_tasks_become_general_tools_each_once() -> None:
    solved = [Solution(Example(task(word), word[::-1]), f"print({word!r}[::-1])") for word in ("ab", "cd", "xyz")]
    smith, strong = maker(
        code("return word[::-1]", "turned"), '{"word": "ab"}',
        code("return ''.join(reversed(word))", "mirrored"), '{"word": "cd"}',
        code("return 'zyx'", "cheating"), '{"word": "no"} {"word": "xyz"}', "no code", "no code",
    )  # fmt: skip

    async def go() -> tuple[MadeTool, ...]:
        with Ledger.open() as ledger:
            scope = ledger.scope("app")
            found = await distil(solved, Maker(model=smith, sandbox=BOX, rounds=2), scope)
            assert sum(r.charged["usd"] for r in scope.receipts()) == strong.billed["usd"]
            return found

    (kept,) = anyio.run(go)
    assert kept.family == "turned" and "print('cd'[::-1])" in strong.requests[2].messages[-1].text


def _revising(*steps: int | None) -> Callable[[int], Awaitable[int | None]]:
    replies = iter(steps)

    async def revise(proposal: int) -> int | None:
        return next(replies)

    return revise


@pytest.mark.parametrize(
    ("steps", "rounds", "expected"),
    [
        ((2, 3, 3), 9, (3, 3, "stable")),
        ((2, 1), 9, (2, 2, "stable")),  # back where it was: a circle
        ((2, None), 9, (2, 2, "stopped")),
        ((2, 3), 2, (3, 2, "rounds")),
        ((2, 10), 9, (10, 2, "done")),
        ((), 0, (1, 0, "rounds")),
    ],
)
def test_a_proposal_is_refined_until_it_no_longer_changes(
    steps: tuple[int | None, ...], rounds: int, expected: tuple[int, int, str]
) -> None:
    refined = anyio.run(lambda: refine(1, _revising(*steps), rounds=rounds, is_done=lambda p: p >= 10))
    assert (refined.proposal, refined.revisions, refined.ended) == expected
