"""Processes that share a ledger are killed at random moments; the books stay true to the provider's bill."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import anyio

from agentkit.budgets import Ledger
from agentkit.costs import Cost
from tests.budgets.spender import read_bill, spending

SPENDERS = 8
ROUNDS_PER_LEDGER = 5
KILLS = int(os.environ.get("AGENTKIT_KILLS", "16"))
LIMIT = 10**9


def test_kill_9_loses_no_bill_and_leaves_nothing_held(tmp_path: Path) -> None:
    killed = mid_call = 0
    while killed < KILLS:
        folder = tmp_path / str(killed)
        folder.mkdir()
        for _ in range(ROUNDS_PER_LEDGER):
            _kill_all(folder)
            killed += SPENDERS
            estimated = _check(folder)
            if killed >= KILLS:
                break
        mid_call += estimated
        assert not list(folder.glob("*.owner-*"))
    logging.getLogger(__name__).info("%d kills, %d of them between dispatch and settle", killed, mid_call)
    assert mid_call >= 0.2 * killed, "too few deaths came between dispatch and settle to show anything"


def test_the_dead_are_not_mistaken_for_the_living(tmp_path: Path) -> None:
    with Ledger.open(_url(tmp_path)) as ledger:
        app = ledger.scope("app", limits={"usd": LIMIT})
        anyio.run(_hold_one, ledger)
        with spending(_url(tmp_path), tmp_path / "bill", spenders=1):
            pass
        with Ledger.open(_url(tmp_path)):
            assert app.view().held == {"usd": 7}, "the hold of a living owner was taken away, or a dead one's left"


async def _hold_one(ledger: Ledger) -> None:
    await ledger.scope("app").reserve(Cost(usd=7), dispatch=True)


def _kill_all(folder: Path) -> None:
    """Kill the spenders one by one at random moments, and see that the books never fall behind the bill."""
    with Ledger.open(_url(folder)) as ledger:
        app = ledger.scope("app", limits={"usd": LIMIT})
        with spending(_url(folder), folder / "bill", SPENDERS) as spenders:
            for spender in spenders:
                time.sleep(random.uniform(0, 0.05))
                billed = sum(read_bill(folder / "bill").values())  # what it says must be in the books by now
                view = app.view()
                assert billed <= view.spent["usd"] + view.held["usd"] + view.allotted["usd"]
                spender.kill()


def _check(folder: Path) -> int:
    """Compare the books with the bill; returns how many holds ended without a usage record."""
    with Ledger.open(_url(folder)) as ledger:
        app = ledger.scope("app")
        assert anyio.run(ledger.verify) == []
        receipts = {receipt.id: receipt for receipt in app.receipts()}
        for hold, used in read_bill(folder / "bill").items():
            receipt = receipts[hold]
            assert receipt.charged["usd"] == used or (receipt.estimated and receipt.charged["usd"] >= used)
        view = app.view()
        assert not view.held and not view.allotted
        assert view.spent["usd"] == sum(receipt.charged["usd"] for receipt in receipts.values())
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return sum(receipt.estimated for receipt in receipts.values())


def _url(folder: Path) -> str:
    return f"sqlite:///{folder}/ledger.db"
