"""A price of time and hard limits: fast while that is enough, and the fastest of equals learned on the way."""

import time
from decimal import Decimal

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.costs import Cost
from agentkit.routers import Estimate, UtilityRouter
from agentkit.routers.fastest import FastestRouter
from agentkit.routers.preferences import Preferences
from agentkit.types import ModelCard
from agentkit.usage import Price

KNOWN = {  # quality, and seconds of a call; agentkit.routers.fit learns both from recorded outcomes
    "quick": Estimate(0.70, 0.1, Cost(usd=1_000), 0.02),
    "good": Estimate(0.90, 0.1, Cost(usd=9_000), 0.10),
}


class Known:
    def estimate(self, query, candidates, seen):
        return [KNOWN[card.name] for card in candidates]


def scripted(name: str) -> ScriptedBackend:
    card = ModelCard(name, "scripted", name, Price(Decimal(1), Decimal(1)))
    return ScriptedBackend(f"said {name}", card=card, delay=KNOWN[name].seconds / 3)


models = [scripted(name) for name in KNOWN]
for preferences in (Preferences(), Preferences(quality_per_second=5.0), Preferences(seconds=0.05)):
    agent = Agent(models, router=UtilityRouter(Known(), preferences=preferences))
    print(preferences.quality_per_second, preferences.seconds, agent.run_sync("Where is order 7?").text)

fastest = Agent(models, router=FastestRouter())
began, texts = time.perf_counter(), [fastest.run_sync("Where is order 7?").text for _ in range(12)]
print(f"{texts.count('said quick')} of {len(texts)} by the quick one, {time.perf_counter() - began:.1f} s")
