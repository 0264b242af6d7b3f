"""Multi-round routing: a model thinks, asks others what it does not know, and answers, all under one budget.

The models are scripted; any chat model can lead.
"""

from decimal import Decimal

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend
from agentkit.backends.fake import Script
from agentkit.routers.multi_round import MultiRoundRouter
from agentkit.trace import Routed
from agentkit.types import ModelCard
from agentkit.usage import Price


def scripted(name: str, usd: str, says: Script) -> ScriptedBackend:
    return ScriptedBackend(says, card=ModelCard(name, "scripted", name, Price(Decimal(usd), Decimal(usd))))


TURNS = [
    "<think>I need the year of the bridge.</think><search>historian: When did the Harbour Bridge open?</search>",
    "<think>And the sum.</think><search>mathematician: What is 2026 - 1932?</search>",
    "<think>That is all.</think><answer>The bridge is 94 years old.</answer>",
]
POOL = {"historian": "dates and places", "mathematician": "sums"}

lead = scripted("lead", "2", TURNS)
pool = [scripted("historian", "1", "It opened in 1932."), scripted("mathematician", "0.5", "94")]
agent = Agent([lead, *pool], router=MultiRoundRouter("lead", POOL, rounds=3))
answer = agent.run_sync("How old is the Sydney Harbour Bridge in 2026?", budget=Budget(usd="0.05"))
for stamped in answer.trace:
    if isinstance(stamped.event, Routed):
        print(f"{stamped.event.model or 'stop'}: {stamped.event.reason}")
print(answer.text)
print(f"{answer.spent['requests']} calls, ${answer.spent.usd}, the bill is "
      f"${sum(model.billed.usd for model in (lead, *pool))}")  # fmt: skip
