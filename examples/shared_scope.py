"""Many runs, one budget: a user's daily limit in an SQLite ledger that every process of this machine can open.

Twenty requests arrive at once and wait for each other's holds. However they interleave, the limit stands.
"""

import tempfile
from collections import Counter
from pathlib import Path

import anyio

from agentkit import Agent, Budget, Ledger
from agentkit.backends import ScriptedBackend
from agentkit.costs import nano_usd


async def main() -> None:
    agent = Agent(ScriptedBackend("Here is a short and sufficient reply."), max_output_tokens=64)
    statuses: Counter[str] = Counter()

    with tempfile.TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger:
        day = ledger.window("user-42", day=Budget(usd="0.001"))

        async def request(number: int) -> None:
            answer = await agent.run(f"Request {number}", budget=Budget(usd="0.01", seconds=10), scope=day)
            statuses[answer.status] += 1

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(request, number)

        spent = day.view().spent
        print(", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
        print(f"${spent.usd} of $0.001 spent in {spent['requests']} model calls")
        print(f"problems in the books: {await ledger.verify()}")
        assert spent["usd"] <= nano_usd("0.001")


if __name__ == "__main__":
    anyio.run(main)
