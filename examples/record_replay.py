"""Record a run once, replay it for ever: same answer, same receipts, no network."""

import tempfile
from pathlib import Path

import anyio

from agentkit import Agent, Answer, Budget
from agentkit.backends import Backend, Recorder, Replayer, ScriptedBackend


async def ask(model: Backend) -> Answer[str]:
    return await Agent(model).run("What is a cassette?", budget=Budget(usd="0.01"))


async def main() -> None:
    live = ScriptedBackend("A file of recorded model replies.")
    with tempfile.TemporaryDirectory() as folder:
        cassette = Path(folder) / "run.jsonl"
        first = await ask(Recorder(live, cassette))
        again = await ask(Replayer(cassette, live.card))
    print(f"recorded: {first.output} (${first.spent.usd})")
    print(f"replayed: {again.output} (${again.spent.usd})")
    print(f"calls that left: {len(live.requests)}")
    assert (again.output, again.spent) == (first.output, first.spent)


if __name__ == "__main__":
    anyio.run(main)
