"""Processes that spend until they are killed, and the provider's own bill, a line for each call it got."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import anyio

from agentkit.budgets import Ledger
from agentkit.costs import Cost

# A server that has all modules loaded forks the spenders: their deaths are cheap, so there can be many.
SERVER = multiprocessing.get_context("forkserver")


@contextmanager
def spending(url: str, bill: Path, spenders: int) -> Iterator[list[BaseProcess]]:
    """Start spenders, wait until each has been billed; in the end all are dead."""
    SERVER.set_forkserver_preload([__name__])
    bill.touch()
    before = _billed_processes(bill)
    started: list[BaseProcess] = [
        SERVER.Process(target=spend_until_killed, args=(url, str(bill)), daemon=True) for _ in range(spenders)
    ]
    try:
        with patch.dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])):  # for the server, if it starts now
            for spender in started:
                spender.start()
        end = time.monotonic() + 60
        while len(_billed_processes(bill) - before) < spenders:
            assert time.monotonic() < end, "a spender bills nothing"
            time.sleep(0.005)
        yield started
    finally:
        for spender in started:
            spender.kill()
            spender.join()


def read_bill(bill: Path) -> dict[str, int]:
    """Return what was billed for each hold; no call is made twice."""
    lines = [line.split() for line in bill.read_text().splitlines()]
    billed = {hold: int(used) for _, hold, used in lines}
    assert len(billed) == len(lines)
    return billed


def spend_until_killed(url: str, bill: str) -> None:
    """Make calls one after the other, in shares and slices of the scope `app`."""
    anyio.run(_spend, url, bill)


async def _spend(url: str, bill: str) -> None:
    ledger = Ledger.open(url)
    app = ledger.scope("app")
    provider = os.open(bill, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while True:
        run = app.share() if random.random() < 0.5 else app.slice({"usd": 10})
        for _ in range(5):
            hold = await run.reserve(Cost(usd=2), dispatch=random.random() < 0.5)
            await hold.dispatch()
            used = random.choice([1, 2])
            os.write(provider, f"{os.getpid()} {hold.id} {used}\n".encode())
            await anyio.sleep(random.uniform(0, 0.01))  # so that many deaths come between the bill and the receipt
            await hold.settle(Cost(usd=used))
        await run.close()


def _billed_processes(bill: Path) -> set[str]:
    return {line.split()[0] for line in bill.read_text().splitlines()}
