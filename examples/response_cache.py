"""The same question again costs nothing: replies kept in a SQLite file."""

import tempfile
from pathlib import Path

import anyio

from agentkit import Agent
from agentkit.backends import CachingBackend, ScriptedBackend
from agentkit.trace import Settled


async def main() -> None:
    model = ScriptedBackend(["The Eiffel Tower is 330 metres high.", "never asked for"])
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(CachingBackend(model, Path(folder) / "replies.sqlite", ttl=24 * 3600))
        for _ in range(2):
            answer = await agent.run("How high is the Eiffel Tower?", budget="usd=0.01")
            usage = next(s.event.usage for s in answer.trace if isinstance(s.event, Settled))
            origin = "the cache" if usage and usage.from_cache else "the model"
            print(f"{answer.text} (from {origin}, ${answer.spent.usd})")
    print("calls that left:", len(model.bill))


if __name__ == "__main__":
    anyio.run(main)
