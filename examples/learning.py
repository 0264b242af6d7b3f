"""A fitted router that goes on learning: told whether its answers were right, it leaves a model that fails.

Needs the `routing` extra.
"""

import random
from decimal import Decimal

import numpy as np

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.routers.estimators import Item, OutcomeTable
from agentkit.routers.fit import fit
from agentkit.types import ModelCard
from agentkit.usage import Price

PRICE, RIGHT = {"cheap": 1, "good": 20}, {"cheap": 0.9, "good": 0.95}
rng = random.Random(0)

items = tuple(Item(str(n), "mine", "mine", f"Question {n}?") for n in range(200))
score = np.array([[float(rng.random() < chance) for chance in RIGHT.values()] for _ in items])
cost = np.array([[2e-5 * price for price in PRICE.values()]] * len(items))
tokens = np.full_like(score, 10.0)
artefact = fit(OutcomeTable("mine", items, tuple(PRICE), score, cost, tokens, tokens, tokens))

cards = [ModelCard(name, "scripted", name, Price(Decimal(price), Decimal(price))) for name, price in PRICE.items()]
says = {"cheap": "I do not know.", "good": "It is so."}  # the cheap one has changed since
agent = Agent([ScriptedBackend(says[card.name], card=card) for card in cards], router=artefact.router(500.0))
learner = artefact.learner(verdict=lambda task, answer: answer == "It is so.")
models = [
    agent.run_sync(f"Question {n}?", trace=learner).receipts[-1].what.removeprefix("model:")
    for n in range(1_000, 1_060)
]
print(f"first {models[0]}, after {models.index('good')} runs {models[-1]}")
print(f"learnt of {', '.join(artefact.lessons.models)}; artefact.save(…) keeps it")
