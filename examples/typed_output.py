"""Typed output: the answer is an object that satisfies its type, or None and the reasons; it is never invented."""

import anyio
from pydantic import BaseModel, Field

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend


class Invoice(BaseModel):
    customer: str
    total: float = Field(gt=0)


GOOD = '{"customer": "Douth Pamack", "total": 472.85}'
BAD = "The customer is Douth Pamack, I could not read the total."


async def main() -> None:
    for reply in (GOOD, BAD):
        agent = Agent(ScriptedBackend(reply), output_type=Invoice)
        answer = await agent.run("Read the invoice: …", budget=Budget(usd="0.01"))
        if answer.output is not None:
            print(f"{answer.status}: {answer.output.customer} owes {answer.output.total}")
        else:
            print(f"{answer.status}: {answer.text!r}")
            print(f"  but {answer.unmet[0]}")


if __name__ == "__main__":
    anyio.run(main)
