"""Try tools before paying for them: what looks right need not help, and the budget pays for the trials too."""

import anyio

from agentkit import Agent, Ledger, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.backends.fake import Reply
from agentkit.budgets import Scope
from agentkit.catalog import Catalog, Component, Skill
from agentkit.composer import AgentSandbox, TryFirst, Verdict
from agentkit.costs import Cost, nano_usd
from agentkit.types import Request

almanac = tool(name="almanac")(lambda: "It is often mild.")
station = tool(name="station")(lambda: "14 degrees, wind from the west.")
TOOLS = {"almanac": almanac, "station": station}
SKILL = Skill("the temperature of a place", queries=("How warm is it in Rome?", "And tonight?"))
CATALOG = Catalog(
    (
        Component("almanac", "tool", Cost(usd=nano_usd(2)), value=0.0, covers=(0.6,)),  # it reads better
        Component("station", "tool", Cost(usd=nano_usd(2)), value=0.0, covers=(0.3,)),
    ),
    (SKILL,),
)


def use_the_tool(request: Request) -> Reply:
    last = request.messages[-1]
    return last.text if last.role == "tool" else calls((request.tools[0].name, {}))


async def attempt(component: Component, query: str, scope: Scope) -> str:
    worker = Agent(ScriptedBackend(use_the_tool), tools=[TOOLS[component.name]], max_output_tokens=64)
    return (await worker.run(query, scope=scope)).output


async def judge(query: str, done: str, scope: Scope) -> Verdict:
    return Verdict.HELPED if any(letter.isdigit() for letter in done) else Verdict.USELESS


async def main() -> None:
    sandbox = AgentSandbox(attempt, judge, price=Cost(usd=nano_usd("0.05")))
    with Ledger.open() as ledger:
        scope = ledger.scope("equip", limits={"usd": nano_usd("2.5")})
        selection = await TryFirst().solve(CATALOG, sandbox, scope)
        print("\n".join(f"{key}: {reason}" for key, reason in selection.reasons.items()))
        print(f"${scope.view().spent.usd} spent on trials, ${selection.cost.usd} for what is chosen")


anyio.run(main)
