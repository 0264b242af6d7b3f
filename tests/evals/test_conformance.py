"""The conformance kit: agentkit passes, each unsound way to keep a budget is found out, and the plug-in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import anyio
import pytest

from agentkit.evals.conformance import (
    CASES,
    PROMPT_TOKENS,
    Child,
    Feature,
    Provider,
    ProviderDown,
    Recorded,
    Subject,
    Violation,
    Work,
)
from agentkit.evals.conformance.adapters.agentkit import Adapter

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]

Flaw = Literal[
    "checks afterwards",
    "refuses everything",
    "forgets the inner limit",
    "forgets the outer limit",
    "forgets cancelled calls",
    "forgets lost records",
    "forgets broken calls",
    "counts refused calls",
    "leaks holds",
]
FAN_OUTS = {name for name in CASES if name.startswith("fan_out")}
CAUGHT: Mapping[Flaw, Set[str]] = {
    "checks afterwards": FAN_OUTS - {"fan_out[1]", "fan_out[2]"} | {"one_by_one", "no_room", "nested_limits"},
    "refuses everything": FAN_OUTS | {"one_by_one", "nested_limits", "books_after_a_retry"},
    "forgets the inner limit": {"nested_limits"},
    "forgets the outer limit": {"nested_limits"},
    "forgets cancelled calls": {"books_after_hanging_up"},
    "forgets lost records": {"books_without_a_record"},
    "forgets broken calls": {"books_after_a_retry"},
    "counts refused calls": {"no_room", "books_at_the_limit[8]", "books_at_the_limit[32]"},
    "leaks holds": {"nothing_held"},
}


@dataclass
class Framework:
    """A framework in the small: it holds the worst case of each call, and may have one flaw."""

    flaw: Flaw | None = None
    lacks: Mapping[Feature, str] = field(default_factory=dict)
    title = "Framework 1.0"

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        books = Books(self.flaw, provider, limit)
        await work(books)
        return Recorded(books.spent, books.requests, books.held)


class Checker(Framework):
    """What `--conformance=module:Class` can make: a framework that checks afterwards."""

    def __init__(self) -> None:
        super().__init__("checks afterwards", {"holds": "nothing is reserved before a call"})


@dataclass
class Books:
    flaw: Flaw | None
    provider: Provider
    limit: int | None
    outer: Books | None = None
    spent: int = 0
    requests: int = 0
    held: int = 0

    async def call(self, child: Child) -> None:
        for _ in range(1 + child.failures):
            await self._attempt(child)

    async def nested(self, limit: int, work: Work) -> None:
        forgotten = self.flaw == "forgets the inner limit"
        await work(Books(self.flaw, self.provider, None if forgotten else limit, self))

    @property
    def path(self) -> list[Books]:
        return [self] if self.outer is None else [self, *self.outer.path]

    async def _attempt(self, child: Child) -> None:
        hold = PROMPT_TOKENS + child.cap
        if not self._admits(hold):
            self._book(0, 0, requests=self.flaw == "counts refused calls")
            return
        self._book(hold, 0)
        forgotten_by, spent = "forgets cancelled calls", hold
        is_leaked = self.flaw == "leaks holds"
        try:
            reply = await self.provider.reply(child, child.cap)
            is_leaked = False
            forgotten_by = "" if reply.has_usage else "forgets lost records"
            spent = reply.input_tokens + reply.output_tokens if reply.has_usage else hold
        except ProviderDown:
            forgotten_by = "forgets broken calls"
        finally:
            is_booked = self.flaw != forgotten_by
            self._book(0 if is_leaked else -hold, spent if is_booked else 0, requests=is_booked)

    def _admits(self, hold: int) -> bool:
        if self.flaw == "refuses everything":
            return False
        path = self.path[:1] if self.flaw == "forgets the outer limit" else self.path
        if self.flaw == "checks afterwards":
            return all(books.limit is None or books.spent < books.limit for books in path)
        return all(books.limit is None or books.spent + books.held + hold <= books.limit for books in path)

    def _book(self, held: int, spent: int, requests: int = 0) -> None:
        for books in self.path:
            books.held += held
            books.spent += spent
            books.requests += requests


async def failing(subject: Subject) -> dict[str, str]:
    """Return what the subject does wrong by case; the cases sleep most of the time, so they run at once."""
    found = {}

    async def check(name: str) -> None:
        try:
            await CASES[name].check(subject)
        except Violation as violation:
            found[name] = str(violation)

    async with anyio.create_task_group() as group:
        for name in CASES:
            group.start_soon(check, name)
    return found


# ---------------------------------------------------------------- the cases
@pytest.mark.parametrize("name", CASES)
async def test_agentkit_passes(name: str) -> None:
    subject = Adapter()
    assert CASES[name].reason_to_skip(subject) is None
    await CASES[name].check(subject)


async def test_a_sound_framework_passes() -> None:
    assert await failing(Framework()) == {}


@pytest.mark.parametrize("flaw", get_args(Flaw))
async def test_each_flaw_is_found_by_its_cases_only(flaw: Flaw) -> None:
    assert set(await failing(Framework(flaw))) == CAUGHT[flaw]


def test_every_case_finds_a_flaw() -> None:
    assert set().union(*CAUGHT.values()) == set(CASES)


async def test_a_violation_says_what_was_billed() -> None:
    violations = await failing(Framework("checks afterwards"))
    assert violations["fan_out[8]"] == (
        "the bill is 3,280 tokens for 8 calls under a limit of 1,000: 2,280 tokens too many"
    )
    assert violations["no_room"] == "the bill is 410 tokens for 1 call under a limit of 5: 405 tokens too many"


def test_what_a_framework_cannot_express_is_skipped_with_its_reason() -> None:
    subject = Framework(lacks={"limit": "a run has no limit"})
    assert CASES["fan_out[8]"].reason_to_skip(subject) == "Framework 1.0: a run has no limit"
    assert CASES["books_after_hanging_up"].reason_to_skip(subject) is None


# ---------------------------------------------------------------- the plug-in
def run_pytest(folder: Path, *options: str) -> tuple[int, str]:
    """Run pytest in a folder with one passing test, which agentkit must not reach unasked."""
    (folder / "test_own.py").write_text(
        "import sys\ndef test_own(): assert not [name for name in sys.modules if name.startswith('agentkit')]\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


PLUGIN = ("-p", "agentkit.evals.conformance.plugin")


def test_the_plug_in_reports_what_a_subject_does(tmp_path: Path) -> None:
    selection = ("-k", "fan_out or nothing_held")
    code, output = run_pytest(tmp_path, *PLUGIN, "--conformance=test_conformance:Checker", *selection)
    assert code == 1, output
    assert "3 failed, 2 passed, 1 skipped, 8 deselected" in output
    assert "Framework 1.0: the bill is 13,120 tokens for 32 calls under a limit of 1,000" in output
    assert "Framework 1.0: nothing is reserved before a call" in output
    assert "Traceback" not in output and "test_own" not in output


def test_an_error_of_an_adapter_is_shown_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "class Adapter:\n"
        "    title, lacks = 'Broken 1.0', {}\n"
        "    async def run(self, *_): raise OSError('no such model')\n"
    )
    code, output = run_pytest(tmp_path, *PLUGIN, "--conformance=broken:Adapter", "-k", "no_room")
    assert code == 1, output
    assert "OSError: no such model" in output and "broken.py" in output


def test_an_unknown_subject_is_a_usage_error(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, *PLUGIN, "--conformance=nothing")
    assert code == pytest.ExitCode.USAGE_ERROR, output
    assert "name an adapter or module:Class" in output


def test_without_its_option_the_plug_in_leaves_a_run_alone(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, *PLUGIN, "--collect-only", "-q")
    assert code == 0, output
    assert output.splitlines()[0] == "test_own.py::test_own" and "1 test collected" in output


def test_an_installed_agentkit_is_not_loaded_by_other_test_runs(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path)
    assert code == 0, output
