"""Best-of-k over several questions: one budget, and each sample goes where it helps most.

Sampling stops where a right answer would cost more than a person's. Each sample is a run with a limit of its own.
The model is scripted: it is right as often as the first number of its question says.
"""

import random
from decimal import Decimal

import anyio

from agentkit import Agent, Budget, Ledger
from agentkit.backends import ScriptedBackend
from agentkit.budgets.allocation import allocate
from agentkit.budgets.allocation_samples import best_of_k_after, break_even
from agentkit.costs import nano_usd
from agentkit.types import Request

PILOT = {"easy": (9, 1), "fair": (4, 6), "hard": (1, 9)}
"""What a pilot of ten samples a question told: right, wrong."""
LIMIT, SAMPLE, PERSON = Decimal("0.003"), Decimal("0.0002"), Decimal("0.004")

rng = random.Random(1)


def reply(request: Request) -> str:
    right, wrong = PILOT[request.messages[-1].text.split()[2]]
    return "right" if rng.random() < right / (right + wrong) else "wrong"


async def main() -> None:
    agent = Agent(ScriptedBackend(reply), max_output_tokens=32)
    gains = [best_of_k_after(right + 1, wrong + 1) for right, wrong in PILOT.values()]
    plan = allocate(gains, int(LIMIT / SAMPLE), epsilon=break_even(SAMPLE, PERSON))

    with Ledger.open() as ledger:
        scope = ledger.scope("questions", limits={"usd": nano_usd(LIMIT)})
        for name, samples in zip(PILOT, plan.units, strict=True):
            task = f"Is the {name} question answered?"
            answers = [await agent.run(task, budget=Budget(usd=SAMPLE), scope=scope) for _ in range(samples)]
            print(f"{name}: {samples} samples, {sum(answer.text == 'right' for answer in answers)} right")
        spent = scope.view().spent
    dearest = SAMPLE / Decimal(plan.shadow_price)
    print(f"${spent.usd} of ${LIMIT} spent on {sum(plan.units)} samples; {plan.left} more could be paid, but then")
    print(f"a right answer costs ${dearest:.4f}, and a person takes ${PERSON}")
    assert spent["requests"] == sum(plan.units) and spent["usd"] <= nano_usd(LIMIT)


if __name__ == "__main__":
    anyio.run(main)
