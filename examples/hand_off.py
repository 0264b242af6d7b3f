"""An agent hands the conversation over to another, which answers in its place, from the same budget."""

from agentkit import Agent, tool
from agentkit.backends import ScriptedBackend, calls


@tool
def find_invoice(number: int) -> str:
    "Look up an invoice."
    return f"invoice {number} was paid on Monday"


billing = Agent(
    ScriptedBackend([calls(("find_invoice", {"number": 7})), "Invoice 7 was paid on Monday."]),
    name="billing",
    description="Knows invoices and payments.",
    tools=[find_invoice],
)
desk = Agent(
    ScriptedBackend([calls(("hand_over_to_billing", {"reason": "a question about an invoice"}))]),
    name="desk",
    handoffs=[billing],
    max_handoffs=2,
)
answer = desk.run_sync("Is invoice 7 paid?", budget="usd=0.01")
print(answer.output)
for message in answer.messages:
    called = ", ".join(call.name for call in message.tool_calls)
    print(f"{message.role:<9} {called or message.text}")
