"""Somebody is asked on the terminal before a tool runs, and only a yes is one."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from agentkit.cli.consent import ask_on, somebody_is_there
from agentkit.tools.policy import Approval

pytestmark = pytest.mark.anyio

QUESTION = Approval(
    "pay", "money", {"to": "[b]acme[/b]", "note": "\x1b[2J" + "x" * 1000}, "its policy asks for approval", ("to",)
)
ANSWERS = {"y\n": True, " YES \n": True, "n\n": False, "\n": False, "": False, "yes please\n": False}


@pytest.mark.parametrize(("answer", "approved"), ANSWERS.items())
async def test_only_a_yes_is_one(answer: str, approved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    console = Console(file=written, width=80)
    quiet: list[str] = []

    @contextmanager
    def pause() -> Iterator[None]:
        quiet.append("on")
        yield
        quiet.append("off")

    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert await ask_on(console, pause)(QUESTION) is approved
    shown = written.getvalue()
    assert 'pay (money) {"to":"[b]acme[/b]"' in shown and len(shown) < 1000
    assert "The user did not name: to." in shown
    assert "\x1b" not in shown  # nobody may paint over the question
    assert quiet == ["on", "off"]


async def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert not somebody_is_there(Console(file=io.StringIO(), force_terminal=True))
    assert not somebody_is_there(Console(file=io.StringIO()))
