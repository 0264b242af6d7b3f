"""Processes that share a ledger are killed at random moments; the books stay true to the provider's bill."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from agentkit.types import Cost

ROUNDS = 5
KILLS = int(os.environ.get("AGENTKIT_KILLS", "10"))
LIMIT = 10**9
SPENDER = Path(__file__).with_name("spender.py")


@pytest.mark.parametrize("ledger", range(max(1, KILLS // (2 * ROUNDS))))
def test_kill_9_loses_no_bill_and_leaves_nothing_held(tmp_path: Path, ledger: int) -> None:
    url, bill = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "bill"
    bill.touch()
    with Ledger.open(url) as opened:
        opened.scope("app", limits={"usd": LIMIT})
    for _ in range(ROUNDS):
        spenders = [_start(url, bill) for _ in range(2)]
        try:
            _wait_for_growth(bill)
            for spender in spenders:
                time.sleep(random.uniform(0, 0.1))
                spender.kill()
        finally:
            for spender in spenders:
                spender.kill()
                spender.wait()
        _check(url, bill)
    assert not list(tmp_path.glob("*.owner-*"))


def test_the_dead_are_not_mistaken_for_the_living(tmp_path: Path) -> None:
    url, bill = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "bill"
    bill.touch()
    with Ledger.open(url) as ledger:
        app = ledger.scope("app", limits={"usd": LIMIT})
        anyio.run(_hold_one, ledger)
        spender = _start(url, bill)
        try:
            _wait_for_growth(bill)
        finally:
            spender.kill()
            spender.wait()
        with Ledger.open(url):
            assert app.view().held == {"usd": 7}, "the hold of a living owner was taken away, or a dead one's left"


async def _hold_one(ledger: Ledger) -> None:
    await ledger.scope("app").reserve(Cost(usd=7), dispatch=True)


def _start(url: str, bill: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, str(SPENDER), url, str(bill)], env=environment)


def _wait_for_growth(bill: Path) -> None:
    size, end = bill.stat().st_size, time.monotonic() + 30
    while bill.stat().st_size == size:
        assert time.monotonic() < end, "the spender bills nothing"
        time.sleep(0.005)


def _check(url: str, bill: Path) -> None:
    billed = dict(line.split() for line in bill.read_text().splitlines())
    with Ledger.open(url) as ledger:
        app = ledger.scope("app")
        assert anyio.run(ledger.verify) == []
        receipts = {receipt.id: receipt for receipt in app.receipts()}
        for hold, used in billed.items():
            receipt = receipts[hold]
            assert receipt.charged["usd"] == int(used) or (
                receipt.estimated and receipt.charged["usd"] >= int(used)
            )
        view = app.view()
        assert not view.held and not view.allotted
        assert view.spent["usd"] == sum(receipt.charged["usd"] for receipt in receipts.values())
