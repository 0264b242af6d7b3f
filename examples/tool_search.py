"""An agent with many tools offers its model only those that the task may need; no model and no key needed."""

from agentkit import Agent, Tool, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.tools.index import ToolSearch


@tool
def get_order(order_id: int) -> str:
    "Look up the status of an order."
    return f"order {order_id} was shipped on Monday"


def unrelated(place: int) -> Tool:
    """Stand for the many tools that other tasks need."""
    topic = ("weather", "calendar", "music", "travel")[place % 4]

    def run(query: str) -> str:
        return "nothing found"

    return tool(name=f"{topic}_{place}", description=f"Search the {topic} archive, part {place}.")(run)


model = ScriptedBackend([calls(("get_order", {"order_id": 7})), "Order 7 was shipped on Monday."])
agent = Agent(model, tools=[*map(unrelated, range(60)), get_order], tool_search=ToolSearch(top=4))
answer = agent.run_sync("What is the status of order 7?", budget="usd=0.01")
offered = [spec.name for spec in model.requests[0].tools]
print(answer.output)
print(f"{len(offered)} of {len(agent.tools)} tools were offered, get_order among them: {'get_order' in offered}")
