"""A process that spends until it is killed: `python spender.py URL BILL`; BILL is the provider's own record."""

from __future__ import annotations

import os
import random
import sys

import anyio

from agentkit.budgets import Ledger
from agentkit.types import Cost


async def spend(url: str, bill: str) -> None:
    ledger = Ledger.open(url)
    app = ledger.scope("app")
    provider = os.open(bill, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while True:
        run = app.share() if random.random() < 0.5 else app.slice({"usd": 10})
        for _ in range(5):
            hold = await run.reserve(Cost(usd=2), dispatch=random.random() < 0.5)
            await hold.dispatch()
            used = random.choice([1, 2])
            os.write(provider, f"{hold.id} {used}\n".encode())
            await anyio.sleep(random.uniform(0, 0.01))  # so that most deaths come between the bill and the receipt
            await hold.settle(Cost(usd=used))
        await run.close()


anyio.run(spend, sys.argv[1], sys.argv[2])
