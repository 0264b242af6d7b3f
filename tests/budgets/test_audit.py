"""The second opinion: what replay and verify say of true books and of falsified ones."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from agentkit.budgets import Ledger, replay
from agentkit.costs import Cost
from agentkit.errors import LedgerError

pytestmark = pytest.mark.anyio


async def _history(ledger: Ledger) -> None:
    app = ledger.scope("app", limits={"usd": 100})
    run, part = app.share({"usd": 50}, "run"), app.slice({"usd": 20}, "part")
    await (await run.reserve(Cost(usd=10), id="settled", dispatch=True)).settle(Cost(usd=12))
    await (await part.reserve(Cost(usd=5), id="full", dispatch=True)).settle(None)
    await run.reserve(Cost(usd=7), id="open")
    await app.slice({"usd": 9}, "still open").reserve(Cost(usd=1), id="within", dispatch=True)
    await part.close()


async def test_the_log_gives_the_balances(ledger: Ledger) -> None:
    await _history(ledger)
    balances = replay(ledger.events())
    app = balances["app"]
    assert (+app.held, +app.allotted, +app.spent) == ({"usd": 7}, {"usd": 9}, {"usd": 17})
    assert app.excess == Counter(usd=2) and balances["app/part"].spent == Counter(usd=5)
    assert await ledger.verify() == []


async def test_every_step_is_in_the_log(ledger: Ledger) -> None:
    await _history(ledger)
    await ledger.reconcile("full", Cost(usd=4))
    events = ledger.events()
    assert [event.kind for event in events if event.hold == "settled"] == [
        "reserve",
        "dispatch",
        "settle",
        "overrun",
    ]
    assert [event.kind for event in events if event.hold == "full"] == [
        "reserve",
        "dispatch",
        "charge",
        "correction",
    ]
    assert [event.kind for event in events if event.scope == "app/part" and not event.hold] == ["slice", "close"]
    assert events[0].amounts == {"usd": 100} and events[1].parent == "app"
    assert [event.at for event in events] == sorted(event.at for event in events)


@pytest.mark.parametrize(
    "forgery, problem",
    [
        ("UPDATE lines SET spent = spent - 1 WHERE account = 'app'", "'app' says spent usd 16"),
        ("UPDATE lines SET held = 0 WHERE account = 'app/run'", "'app/run' says held usd 0"),
        ("UPDATE lines SET allotted = 0 WHERE account = 'app'", "'app' says allotted usd 0"),
        ("UPDATE lines SET excess = 50 WHERE account = 'app'", "'app' says excess usd 50"),
        ("UPDATE holds SET charged = '{\"usd\":1}' WHERE id = 'settled'", "receipts and slices add up to 6"),
        ("UPDATE holds SET state = 'dispatched', charged = NULL WHERE id = 'full'", "has 1 endings"),
        ("DELETE FROM events WHERE kind = 'charge'", "has 0 endings"),
        (
            "UPDATE lines SET ceiling = 10, excess = 100 WHERE account = 'app'",
            "over its limit of usd and not frozen",
        ),
        ("DELETE FROM events WHERE kind = 'reserve' AND hold = 'full'", "'full', whose beginning it lacks"),
        ("DELETE FROM lines WHERE account = 'app/run'", "'app/run' says spent usd 0"),
    ],
)
async def test_verify_finds_each_forgery(tmp_path: Path, forgery: str, problem: str) -> None:
    path, found = tmp_path / "ledger.db", list[str]()
    with suppress(LedgerError), Ledger.open(f"sqlite:///{path}") as ledger:  # forged books may refuse to close
        await _history(ledger)
        with sqlite3.connect(path) as forger:
            assert forger.execute(forgery).rowcount >= 1
        forger.close()
        found = await ledger.verify()
    assert any(problem in line for line in found), found
    with sqlite3.connect(path) as forger:
        forger.execute("UPDATE owners SET started = 'long ago'")  # whoever could not close is now seen as dead
    forger.close()
    with Ledger.open(f"sqlite:///{path}") as ledger:
        assert await ledger.verify() != [], "forged books must still open, so that they can be verified"
