"""A new model beside the one in use: tried only with quality saved before, and kept once it proves good."""

import random
from decimal import Decimal

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.routers import Estimate, RuleRouter
from agentkit.routers.conservative import ConservativeRouter
from agentkit.types import ModelCard
from agentkit.usage import Price

EXPECTED = {"usual": Estimate(0.60, 0.05), "new": Estimate(0.55, 0.20)}  # the new one's by its card
RIGHT = {"usual": 0.6, "new": 0.9}  # which nobody knows
rng = random.Random(0)


class Expected:
    def estimate(self, query, candidates, seen):
        return [EXPECTED[card.name] for card in candidates]


def scripted(name: str) -> ScriptedBackend:
    card = ModelCard(name, "scripted", name, Price(Decimal(1), Decimal(1)))
    return ScriptedBackend(lambda request: "right" if rng.random() < RIGHT[name] else "wrong", card=card)


def judge(query, outcome) -> float:  # a test, a user, a check of the result: whatever says how good an answer was
    return float(outcome.completion.message.text == "right")


router = ConservativeRouter(RuleRouter(["usual"]), Expected(), {"new"}, judge, most_loss=0.1)
agent = Agent([scripted(name) for name in EXPECTED], router=router)
answers = [agent.run_sync(f"Question {n}?") for n in range(120)]
for part in (answers[:20], answers[-20:]):
    asked = [answer.receipts[-1].what for answer in part]
    print(f"{sum('new' in what for what in asked)} of {len(part)} by the new one")
print(f"balance {router.balance:.1f}")
