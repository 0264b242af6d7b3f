"""What becomes of the calls of a process that died: charged, voided, or kept until the bill comes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from agentkit.budgets.store import Orphans
from agentkit.costs import Cost
from agentkit.errors import ConfigError, HoldStateError
from agentkit.types import Receipt

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger whose only user died with one call dispatched, one in a slice, and one merely reserved."""
    path = tmp_path / "ledger.db"
    anyio.run(_die, path)
    return f"sqlite:///{path}"


async def _die(path: Path) -> None:
    with closing(sqlite3.connect(path.with_name("copy.db"))) as copy:
        with Ledger.open(f"sqlite:///{path}") as ledger:
            app = ledger.scope("app", limits={"usd": 100})
            await app.reserve(Cost(usd=10, tokens=5), id="sent", dispatch=True)
            await app.slice({"usd": 30}, "part").reserve(Cost(usd=20), id="sent too", dispatch=True)
            await app.reserve(Cost(usd=7), id="reserved")
            with closing(sqlite3.connect(path)) as database:
                database.backup(copy)  # what the file says at the moment of death
        copy.execute("UPDATE owners SET pid = 1, started = 'long ago'")
        copy.commit()
        with closing(sqlite3.connect(path)) as database:
            copy.backup(database)


@pytest.mark.parametrize("orphans, spent", [("charge", Cost(usd=30, tokens=5)), ("void", Cost())])
async def test_they_end_as_the_policy_says(url: str, orphans: Orphans, spent: Cost) -> None:
    with Ledger.open(url, orphans=orphans) as ledger:
        view = ledger.scope("app").view()
        assert (view.held, view.allotted, view.spent) == (Cost(), Cost(), spent)
        states = {receipt.id: receipt.state for receipt in ledger.scope("app").receipts()}
        ending = "charged_full" if orphans == "charge" else "voided"
        assert states == {"sent": ending, "sent too": ending, "reserved": "voided"}
        assert await ledger.verify() == []


async def test_kept_ones_stay_held_until_their_bill_comes(url: str) -> None:
    with Ledger.open(f"{url}?orphans=keep") as ledger:
        app = ledger.scope("app")
        assert (app.view().held, app.view().allotted) == (Cost(usd=10, tokens=5), Cost(usd=30))
        own = await app.reserve(Cost(usd=1), dispatch=True)
        with pytest.raises(HoldStateError, match="before it ends"):
            await ledger.reconcile(own.id, Cost(usd=1))
        receipt = await ledger.reconcile("sent", {"usd": 12})
        assert (receipt.state, receipt.charged) == ("settled", Cost(usd=12, tokens=5))
        assert receipt.overrun == Cost(usd=2) and not receipt.estimated
        await ledger.reconcile("sent too", Cost(usd=4))
        await own.settle(None)
    with Ledger.open(url, orphans="keep") as ledger:
        view = ledger.scope("app").view()
        assert (view.held, view.allotted, view.spent) == (Cost(), Cost(), Cost(usd=17, tokens=5))
        assert await ledger.verify() == []


async def test_kept_ones_end_at_the_next_opening_that_does_not_keep_them(url: str) -> None:
    with Ledger.open(url, orphans="keep"), Ledger.open(url) as ledger:
        assert ledger.scope("app").view().spent == Cost(usd=30, tokens=5)
        assert isinstance(ledger.receipt("sent too"), Receipt) and await ledger.verify() == []


def test_the_policy_has_three_names(url: str) -> None:
    with pytest.raises(ConfigError, match="charge or void or keep"):
        Ledger.open(f"{url}?orphans=forget")
