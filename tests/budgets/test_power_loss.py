"""The power is cut: what was not yet on the disk is gone, and the durability says whether that loses a bill.

The ledger lies on a disk of its own, a file system in a file. With all its users stopped, a copy of that file is
what a power cut would leave: pages that were written and not synced are in the kernel's memory, not in the copy.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from tests.budgets.spender import read_bill, spending

CUTS = int(os.environ.get("AGENTKIT_POWER_CUTS", "0"))
SPENDERS = 4
LIMIT = 10**9


@pytest.mark.skipif(not CUTS, reason="AGENTKIT_POWER_CUTS is not set; as root it mounts a disk for each cut")
@pytest.mark.parametrize("durability", ["power_loss", "process_crash"])
def test_a_power_cut_loses_no_bill_when_the_ledger_waits_for_the_disk(tmp_path: Path, durability: str) -> None:
    calls = lost = 0
    for cut in range(CUTS):
        folder = tmp_path / str(cut)
        folder.mkdir()
        billed, charged = _cut(folder, durability)
        calls += len(billed)
        lost += sum(charged.get(hold, 0) < used for hold, used in billed.items())
        shutil.rmtree(folder)
    logging.getLogger(__name__).info("%s: %d cuts, %d calls, %d bills lost", durability, CUTS, calls, lost)
    assert (lost == 0) == (durability == "power_loss"), (
        "without waiting something is lost, or the cut cuts nothing"
    )


def _cut(folder: Path, durability: str) -> tuple[dict[str, int], dict[str, int]]:
    """Cut the power on some spenders; returns what was billed and what the ledger charges, by hold."""
    bill, disk, copy = folder / "bill", folder / "disk", folder / "copy"
    with disk.open("wb") as file:
        file.truncate(16 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
    with _mounted(disk) as before:
        url = f"sqlite:///{before}/ledger.db?durability={durability}"
        with Ledger.open(url) as ledger:
            ledger.scope("app", limits={"usd": LIMIT})
        os.sync()
        with spending(url, bill, SPENDERS) as spenders:
            time.sleep(random.uniform(0, 0.2))
            for spender in spenders:
                assert spender.pid is not None
                os.kill(spender.pid, signal.SIGSTOP)
            shutil.copyfile(disk, copy)
    with _mounted(copy) as after, Ledger.open(f"sqlite:///{after}/ledger.db") as ledger:
        assert anyio.run(ledger.verify) == []
        receipts = ledger.scope("app").receipts()
    return read_bill(bill), {receipt.id: receipt.charged["usd"] for receipt in receipts}


@contextmanager
def _mounted(disk: Path) -> Iterator[Path]:
    folder = disk.with_name(f"{disk.name}-mounted")
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", disk, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
