"""What only a file can do: outlive its process, be shared, be broken."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentkit.budgets import Ledger, Scope, owner
from agentkit.costs import Cost
from agentkit.errors import LedgerError, Saturated

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def test_books_outlive_the_process_that_wrote_them(url: str) -> None:
    with Ledger.open(url) as first:
        scope = first.scope("app", limits={"usd": 100, "tokens": 0})
        hold = await scope.reserve(Cost(usd=30), what="tool:search", dispatch=True)
        receipt = await hold.settle(Cost(usd=40))
        await scope.share(name="run").close()
        view, events = scope.view(), first.events()
    with Ledger.open(url) as second:
        again = second.scope("app", limits={"usd": 100, "tokens": 0})
        assert (again.view(), again.receipts(), second.events()) == (view, (receipt,), events)
        assert again.share().name == "app/2"
        assert await hold_again(again, hold.id) == "settled"


async def hold_again(scope: Scope, id: str) -> str:
    return (await scope.reserve(Cost(usd=30), id=id)).state


async def test_closing_the_ledger_ends_what_was_left_open(url: str) -> None:
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app", limits={"usd": 100})
        await scope.reserve(Cost(usd=1))
        await scope.slice({"usd": 20}).reserve(Cost(usd=10), dispatch=True)
        ledger.close()
        with pytest.raises(LedgerError, match="open it again"):
            await scope.reserve(Cost(usd=1))
    with Ledger.open(url) as ledger:
        view = ledger.scope("app").view()
        assert (view.held, view.allotted, view.spent) == (Cost(), Cost(), Cost(usd=10))


async def test_a_slice_outlives_its_opener_while_others_hold_in_it(url: str) -> None:
    with Ledger.open(url) as here:
        with Ledger.open(url) as there:
            part = there.scope("app", limits={"usd": 10}).slice({"usd": 5}, "part")
            hold = await here.scope(part.name).reserve(Cost(usd=3), dispatch=True)
        assert hold.state == "dispatched" and here.scope("app").view().allotted == Cost(usd=5)


async def test_a_waiter_sees_what_another_opening_releases(url: str) -> None:
    with Ledger.open(url) as here, Ledger.open(url) as there:
        hold = await there.scope("app", limits={"usd": 10}).reserve(Cost(usd=10))
        with pytest.raises(Saturated):
            await here.scope("app").reserve(Cost(usd=1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold.void)
            await here.scope("app").reserve(Cost(usd=1), deadline=anyio.current_time() + 60)


async def test_a_waiter_gets_what_a_killed_process_held(url: str) -> None:
    program = f"""
import anyio
from agentkit.budgets import Ledger
from agentkit.costs import Cost
async def main():
    await Ledger.open({url!r}).scope("app").reserve(Cost(usd=10))
    print("held", flush=True)
    await anyio.sleep_forever()
anyio.run(main)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app", limits={"usd": 10})
        async with await anyio.open_process([sys.executable, "-c", program], env=environment) as holder:
            assert holder.stdout is not None and (await holder.stdout.receive()).startswith(b"held")
            with pytest.raises(Saturated):
                await scope.reserve(Cost(usd=1), deadline=anyio.current_time() + 0.8)
            holder.kill()
        await scope.reserve(Cost(usd=1), deadline=anyio.current_time() + 60)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """The connections the ledger opens, the writer's first."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*arguments: Any, **named: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remember)
    return opened


@pytest.mark.parametrize("durability, level", [("process_crash", 1), ("power_loss", 2)])
def test_durability_sets_when_the_disk_is_waited_for(
    connections: list[sqlite3.Connection], url: str, durability: str, level: int
) -> None:
    with Ledger.open(f"{url}?durability={durability}"):
        assert connections[0].execute("PRAGMA synchronous").fetchone() == (level,)
        assert connections[0].execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_the_file_itself_refuses_a_balance_over_the_limit(path: Path, url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.scope("app", limits={"usd": 10})
        with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError):
            other.execute("UPDATE lines SET held = 11")
        other.close()


def test_files_that_cannot_be_used_say_so(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database at all" * 100)
    cases = {"garbage.db": "another file", "no/folder.db": "folder that exists"}
    for name, advice in cases.items():
        with pytest.raises(LedgerError, match=advice):
            Ledger.open(f"sqlite:///{tmp_path}/{name}")
    assert not list(tmp_path.glob("*.owner-*"))


@pytest.mark.parametrize(
    "pragma, advice", [("max_page_count = 1", "free disk space"), ("query_only = ON", "writable")]
)
async def test_a_write_that_fails_changes_nothing(
    connections: list[sqlite3.Connection], url: str, pragma: str, advice: str
) -> None:
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app", limits={"usd": 10**6})
        writer = connections[0]
        writer.execute(f"PRAGMA {pragma}")
        with pytest.raises(LedgerError, match=advice):
            for number in range(200):
                await scope.reserve(Cost(usd=1), id=f"{number:0>500}")
        writer.execute("PRAGMA max_page_count = 100000")
        writer.execute("PRAGMA query_only = OFF")
        assert await ledger.verify() == []
        await scope.reserve(Cost(usd=1))


async def test_a_transaction_that_fails_half_way_is_undone(path: Path, url: str) -> None:
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app", limits={"usd": 10})
        with sqlite3.connect(path) as other:
            other.execute("CREATE TRIGGER broken BEFORE INSERT ON holds BEGIN SELECT RAISE(FAIL, 'broken'); END")
        with pytest.raises(LedgerError, match="broken"):
            await scope.reserve(Cost(usd=1))
        with other:
            other.execute("DROP TRIGGER broken")
        other.close()
        assert scope.view().held == Cost() and await ledger.verify() == []


def test_network_file_systems_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(owner, "_NETWORK", frozenset({owner.file_system(Path(url.removeprefix("sqlite:///")))}))
    with pytest.raises(LedgerError, match="local disk"):
        Ledger.open(url)


async def test_concurrent_callers_share_commits(url: str) -> None:
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app", limits={"usd": 100})
        async with anyio.create_task_group() as tasks:
            for number in range(120):
                tasks.start_soon(_try_one, scope, f"hold-{number}")
        assert scope.view().held == Cost(usd=100) and await ledger.verify() == []


async def test_a_close_sees_the_holds_committed_with_it(path: Path, url: str) -> None:
    with Ledger.open(url) as ledger:
        scope = ledger.scope("app")
        with sqlite3.connect(path) as other:
            other.execute("BEGIN IMMEDIATE")  # makes the first caller wait, so that the next two share a commit
            async with anyio.create_task_group() as tasks:
                for operation in (scope.reserve, scope.reserve):
                    tasks.start_soon(operation, Cost(usd=1))
                    await anyio.sleep(0.05)
                tasks.start_soon(scope.close)
                await anyio.sleep(0.05)
                other.rollback()
        other.close()
        assert scope.view().held == Cost() and len(scope.receipts()) == 2


async def _try_one(scope: Scope, id: str) -> None:
    try:
        await scope.reserve(Cost(usd=1), id=id)
    except Saturated:
        pass
