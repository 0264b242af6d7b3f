"""A plan is run on stand-ins before a cent is spent: what cannot flow is found, and each step has its price.

Nothing is called. `agentkit run FILE TASK --dry-run` says the same of a plan that the definition gives.
"""

from dataclasses import dataclass

from agentkit import Agent, tool
from agentkit.backends import ScriptedBackend
from agentkit.costs import nano_usd
from agentkit.planner import FixedPlanner, OnFailure, Plan, Ref, Step, ToolUse


@dataclass
class Order:
    customer: str
    pieces: int


@tool(cost={"usd": "0.002"})
def get_order(number: int) -> Order:
    "Look up an order."
    raise AssertionError("nothing is called")


@tool(cost={"usd": "0.01"})
def ship(to: str, pieces: int) -> str:
    "Ship pieces to somebody."
    raise AssertionError("nothing is called")


def plan(to: Ref, pieces: Ref) -> Plan:
    order = Step("order", call=ToolUse("get_order", {"number": 7}), on_failure=OnFailure(retries=2))
    return Plan((order, Step("ship", call=ToolUse("ship", {"to": to, "pieces": pieces}))), "ship what was ordered")


for name, pieces in (("customer", "pieces"), ("client", "pieces"), ("customer", "customer")):
    planner = FixedPlanner(plan(Ref("order", (name,)), Ref("order", (pieces,))))
    agent = Agent(ScriptedBackend("unused"), tools=[get_order, ship], planner=planner)
    quote = agent.quote("Ship order 7.", budget="usd=0.05")
    assert quote.plan is not None
    priced = ", ".join(f"{step.id} ${step.maximum['usd'] / nano_usd(1):g}" for step in quote.plan.steps)
    path = " > ".join(quote.plan.critical_path)
    print("; ".join(quote.problems) or f"{priced}, at most ${quote.plan.maximum['usd'] / nano_usd(1):g}: {path}")
