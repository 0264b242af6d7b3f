"""BATS: an answer is verified before it stands; a dead end is left for another path, within the same budget.

The model is scripted: it names the wrong bridge first, and its verification says so.
"""

import json

import anyio

from agentkit import Agent, Budget, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.backends.fake import Reply
from agentkit.planner import BudgetAware
from agentkit.trace import Retried

BRIDGES = {"suspension": "Golden Gate Bridge, opened in 1937", "arch": "Sydney Harbour Bridge, opened in 1932"}


@tool(cost={"usd": "0.001"})
async def search(kind: str) -> str:
    "Search bridges by kind."
    return BRIDGES[kind]


def verdict(decision: str, finding: str, summary: str) -> str:
    constraints = [{"constraint": "opened in 1932", "finding": finding}]
    return json.dumps({"constraints": constraints, "decision": decision, "summary": summary})


SCRIPT: list[Reply] = [
    calls(("search", {"kind": "suspension"})),
    "The Golden Gate Bridge.",
    verdict("pivot", "contradicted", "The suspension bridge opened in 1937. Try arch bridges."),
    calls(("search", {"kind": "arch"})),
    "The Sydney Harbour Bridge.",
    verdict("success", "satisfied", "The arch bridge opened in 1932."),
]


async def main() -> None:
    agent = Agent(ScriptedBackend(SCRIPT), tools=[search], planner=BudgetAware(proposals=3))
    answer = await agent.run("Which bridge opened in 1932?", budget=Budget(usd="0.05"))
    for entry in answer.trace:
        if isinstance(entry.event, Retried):
            print(entry.event.reason)
    print(f"{answer.status}: {answer.output} ${answer.spent.usd}, {answer.spent['requests']} model calls")


if __name__ == "__main__":
    anyio.run(main)
