"""Any server that speaks the OpenAI chat dialect (vLLM, llama.cpp, Ollama, a gateway), priced by you.

    python examples/openai_compatible.py http://127.0.0.1:8000/v1 my-model "Say hello."

The price is what the ledger holds and charges; without one a dollar limit would be refused, never guessed.
"""

import os
import sys
from decimal import Decimal

import anyio

from agentkit import Agent, Budget, ModelCard, Price
from agentkit.backends import RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat


async def main(base_url: str, model: str, task: str) -> None:
    card = ModelCard(
        model,
        backend="openai",
        model=model,
        price=Price(input=Decimal("0.20"), output=Decimal("0.60")),  # dollars per million tokens
        context_window=32_768,
    )
    key = os.environ.get("OPENAI_API_KEY")
    agent = Agent(RemoteBackend(card, OpenAIChat(), base_url=base_url, api_key=key))
    try:
        answer = await agent.run(task, budget=Budget(usd="0.01", seconds=60))
    finally:
        await agent.aclose()
    print(answer.output)
    spent = answer.spent
    print(f"{answer.status}: {spent['input_tokens']} tokens in, {spent['output_tokens']} out, ${spent.usd}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    anyio.run(main, *sys.argv[1:])
