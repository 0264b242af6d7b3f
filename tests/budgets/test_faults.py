"""The machine fails under the ledger: every fault is a typed error, and the books are right afterwards."""

from __future__ import annotations

import asyncio  # noqa: TID251 - users cancel with bare asyncio too
import os
import resource
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentkit.budgets import Ledger, Scope, sqlite
from agentkit.costs import Cost
from agentkit.errors import BudgetError, LedgerError, UnknownHold

pytestmark = pytest.mark.anyio
LIMITS = {"usd": 10**6}


# ---------------------------------------------------------------- disk
@contextmanager
def _no_file_grows_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_calls_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{path}") as ledger:
        scope = ledger.scope("app", limits=LIMITS)
        sent = [await scope.reserve(Cost(usd=2), dispatch=True)]
        with _no_file_grows_beyond(path.with_name("ledger.db-wal").stat().st_size + 2**15):
            with pytest.raises(LedgerError, match="free disk space"):
                while True:
                    sent.append(await scope.reserve(Cost(usd=2), dispatch=True))
            with pytest.raises(LedgerError):
                await sent[0].settle(Cost(usd=1))
            assert scope.view().held == Cost(usd=2 * len(sent)), "what may be billed stays held"
        for hold in sent:
            await hold.settle(Cost(usd=1))
        assert scope.view().spent == Cost(usd=len(sent)) and await ledger.verify() == []


@pytest.fixture
def readable() -> Iterator[Path]:
    """A ledger that may be read and not be written, by a user who is not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
            ledger.scope("app", limits=LIMITS)
        for path, mode in ((folder / "ledger.db", 0o444), (folder, 0o555)):
            path.chmod(mode)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder / "ledger.db"
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_file_that_may_only_be_read_is_refused(readable: Path) -> None:
    with pytest.raises(LedgerError, match="make the file and its folder writable"):
        Ledger.open(f"sqlite:///{readable}")


# ---------------------------------------------------------------- locks
async def test_a_lock_that_is_never_given_up_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.2)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        scope = ledger.scope("app", limits=LIMITS)
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="try again"):
                await scope.reserve(Cost(usd=1))
            assert scope.view().held == Cost(), "readers do not wait for writers"
        await scope.reserve(Cost(usd=1))


async def test_a_storm_of_locks_only_delays(tmp_path: Path) -> None:
    path, over = tmp_path / "ledger.db", threading.Event()

    def storm() -> None:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
            while not over.is_set():
                other.execute("BEGIN IMMEDIATE")
                time.sleep(0.002)
                other.execute("ROLLBACK")
                time.sleep(0.005)

    with Ledger.open(f"sqlite:///{path}") as ledger:
        scope = ledger.scope("app", limits=LIMITS)
        others = [threading.Thread(target=storm) for _ in range(3)]
        for other in others:
            other.start()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(_reserve_and_settle, scope)
        finally:
            over.set()
            for other in others:
                other.join()
        assert scope.view().spent == Cost(usd=10) and await ledger.verify() == []


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    opened: list[str] = []
    start = threading.Barrier(8)

    def open_and_close() -> None:
        start.wait()
        with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
            opened.append(ledger.scope("app", limits=LIMITS).name)

    threads = [threading.Thread(target=open_and_close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["app"] * 8 and not list(tmp_path.glob("*.owner-*"))


async def _reserve_and_settle(scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=5), dispatch=True)
    await hold.settle(Cost(usd=1))


# ---------------------------------------------------------------- time
@pytest.mark.parametrize("jump", [3600, -3600])
async def test_a_jump_of_the_clock_ends_no_hold_and_no_wait(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    scope = ledger.scope("app", limits={"usd": 2})
    hold = await scope.reserve(Cost(usd=2), dispatch=True)
    async with anyio.create_task_group() as tasks:

        async def jump_then_settle() -> None:
            await anyio.sleep(0.05)
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() + jump)
            await hold.settle(Cost(usd=1))

        tasks.start_soon(jump_then_settle)
        with anyio.fail_after(60):
            await scope.reserve(Cost(usd=1), deadline=anyio.current_time() + 600)
    events = ledger.events()
    assert [event.kind for event in events] == ["open", "reserve", "dispatch", "settle", "reserve"]
    assert abs(events[-1].at - events[0].at - jump) < 60 and await ledger.verify() == []


# ---------------------------------------------------------------- bills
async def test_a_bill_of_twice_the_bound_is_an_overrun_on_the_record(ledger: Ledger) -> None:
    scope = ledger.scope("app", limits={"usd": 30})
    for frozen in (False, True):
        hold = await scope.reserve(Cost(usd=10), dispatch=True)
        receipt = await hold.settle(Cost(usd=20))
        assert (receipt.charged, receipt.overrun) == (Cost(usd=20), Cost(usd=10))
        assert scope.view().frozen == frozen
        assert await hold.settle(Cost(usd=20)) == receipt
    overruns = [event.amounts for event in ledger.events() if event.kind == "overrun"]
    assert overruns == [Cost(usd=10)] * 2 and await ledger.verify() == []


async def test_a_hold_that_never_was_is_unknown(ledger: Ledger) -> None:
    with pytest.raises(UnknownHold):
        ledger.receipt("nobody")
    with pytest.raises(UnknownHold):
        await ledger.reconcile("nobody", Cost(usd=1))


# ---------------------------------------------------------------- cancellation
class CancelledAt(Generator[Any, Any, Any]):
    """Awaits a coroutine and calls `cancel` at its n-th suspension, counted from 1."""

    def __init__(self, operation: Coroutine[Any, Any, None], suspension: int, cancel: Callable[[], None]) -> None:
        self._operation = operation
        self._left = suspension
        self._cancel = cancel

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    @property
    def reached(self) -> bool:
        return self._left <= 0

    def send(self, value: Any) -> Any:
        return self._suspended(self._operation.send(value))

    def throw(self, *error: Any) -> Any:
        return self._suspended(self._operation.throw(*error))

    def _suspended(self, pending: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self._cancel()
        return pending


def _cancel_task() -> None:
    """Cancel as bare asyncio does."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _life(scope: Scope) -> None:
    async with scope.share() as step:
        hold = await step.reserve(Cost(usd=5))
        await hold.dispatch()
        await hold.extend(Cost(usd=1))
        await hold.settle(Cost(usd=1))


async def _call(scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=5), dispatch=True)  # cancelled here, nobody has the hold
    await hold.settle(Cost(usd=1))  # cancelled here, it is settled all the same


async def _wait(scope: Scope) -> None:
    async with scope.share() as step:
        with pytest.raises(BudgetError):
            await step.reserve(Cost(usd=10**6), deadline=anyio.current_time() + 0.1)


async def _await(attempt: CancelledAt) -> None:
    await attempt


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("how", ["asyncio", "anyio"])
@pytest.mark.parametrize("operation", [_call, _life, _wait])
async def test_cancelled_at_any_await_nothing_leaks(
    tmp_path: Path, operation: Callable[[Scope], Coroutine[Any, Any, None]], how: str
) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        scope = ledger.scope("app", limits=LIMITS)
        other = await scope.reserve(Cost(usd=1), dispatch=True)
        suspension, reached, tasks_before, files_before = 0, True, asyncio.all_tasks(), _open_files()
        while reached:
            suspension += 1
            async with anyio.create_task_group() as tasks:
                cancel = _cancel_task if how == "asyncio" else tasks.cancel_scope.cancel
                attempt = CancelledAt(operation(scope), suspension, cancel)
                tasks.start_soon(_await, attempt)
            reached = attempt.reached
            assert scope.view().held == Cost(usd=1)
            assert asyncio.all_tasks() == tasks_before
            assert _open_files() <= files_before  # a thread of an earlier test may still be closing its own
        assert suspension > 2, "it was hardly ever cancelled"
        await other.settle(Cost(usd=1))
        assert await ledger.verify() == []
