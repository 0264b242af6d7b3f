"""A router that judges replies: the good model is asked where the cheap one's looks wrong (extra `routing`)."""

import random
from decimal import Decimal

import numpy as np

from agentkit import Agent, Ledger
from agentkit.backends import ScriptedBackend
from agentkit.costs import nano_usd
from agentkit.routers.artefact import Artefact
from agentkit.routers.estimators import Item, OutcomeTable
from agentkit.routers.fit import fit
from agentkit.types import ModelCard, Request
from agentkit.usage import Price

PRICE, RIGHT = {"cheap": 1, "good": 20}, {"cheap": 0.6, "good": 0.95}


def reply(model: str, number: int) -> tuple[bool, str]:
    rng = random.Random(f"{model} {number}")
    right = rng.random() < RIGHT[model]
    doubt = "" if right or rng.random() < 0.2 else "I am not sure, however I assume that "
    return right, f"{doubt}the answer is {number if right else rng.randrange(10_000)}."


def learn(questions: int = 150) -> Artefact:
    items = tuple(Item(str(n), "mine", "mine", f"Question {n}?") for n in range(questions))
    said = [{model: reply(model, n) for model in PRICE} for n in range(questions)]
    score = np.array([[float(right) for right, _ in row.values()] for row in said])
    tokens, cost = np.full_like(score, 10.0), np.array([[2e-5 * price for price in PRICE.values()]] * questions)
    texts = tuple({model: text for model, (_, text) in row.items()} for row in said)
    return fit(OutcomeTable("mine", items, tuple(PRICE), score, cost, tokens, tokens, tokens, responses=texts))


def scripted(model: str, price: int) -> ScriptedBackend:
    def say(request: Request) -> str:
        return reply(model, int(request.messages[-1].text[9:-1]))[1]

    return ScriptedBackend(say, card=ModelCard(model, "scripted", model, Price(Decimal(price), Decimal(price))))


agent = Agent([scripted(*pair) for pair in PRICE.items()], router=learn().stream(40), max_output_tokens=32)
with Ledger.open() as ledger:
    scope = ledger.scope("questions", limits={"usd": nano_usd(Decimal("0.008"))})
    answers = {n: agent.run_sync(f"Question {n}?", scope=scope).text for n in range(1_000, 1_040)}
    right = sum(text.endswith(f"answer is {n}.") for n, text in answers.items())
    print(f"{right} of {len(answers)} right for ${scope.view().spent['usd'] / 1e9:.4f}")
