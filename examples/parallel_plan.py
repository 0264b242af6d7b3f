"""A model plans the tool calls of an order desk; they start while it still writes, side by side where they can.

The model is scripted: it writes the plan, then answers from the results, two calls where a tool loop takes three
or four. `planner: {plan: {}}` says the same in YAML.
"""

import anyio

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.evals.suites.order_desk import shop
from agentkit.planner import LLMPlanner
from agentkit.trace import Planned, ToolFinished, ToolStarted

TASK = "Where does the customer of order 11534 live, what does one piece cost, and who ships it?"
PLAN = """\
{"id": "order", "tool": "get_order", "with": {"order_id": 11534}}
{"id": "ship", "tool": "get_shipment", "with": {"order_id": 11534}}
{"id": "who", "tool": "find_customer", "with": {"name": {"$from": "order", "path": ["customer"]}}}
{"id": "what", "tool": "find_product", "with": {"name": {"$from": "order", "path": ["product"]}}}
"""
TOOLS = [shop.get_order, shop.find_customer, shop.find_product, shop.get_shipment]


async def main() -> None:
    backend = ScriptedBackend([PLAN, "In Culville, $94.14, by Flouth Cargo."], delay=0.002)
    agent = Agent(backend, tools=TOOLS, planner=LLMPlanner())
    answer = await agent.run(TASK, budget="usd=0.01,tool_calls=6")
    for entry in answer.trace:
        match entry.event:
            case ToolStarted(call, name, arguments):
                print(f"> {call} {name}{arguments}")
            case ToolFinished(call, _, content):
                print(f"< {call} {content}")
            case Planned(needs, "planned by a model"):
                print(f"the plan is whole: {len(needs)} steps")
    spent = answer.spent
    print(f"{answer.text} ({spent['requests']} model calls, {spent['tool_calls']} tool calls, ${spent.usd})")


if __name__ == "__main__":
    anyio.run(main)
