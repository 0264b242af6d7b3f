"""agentkit: budget, ledger and trace on. Like the peers' models, this one only replies."""

from collections.abc import AsyncGenerator
from decimal import Decimal

from agentkit import Agent, Budget, tool
from agentkit.backends.base import whole
from agentkit.messages import ToolCall, assistant
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Price, Usage


class Scripted:
    """Calls the tool, then answers."""

    card = ModelCard("scripted", backend="bench", model="scripted", price=Price(Decimal(1), Decimal(4)))

    async def complete(self, request: Request) -> Completion:
        """Return the reply, with usage."""
        usage = Usage(input_tokens=60, output_tokens=20)
        if request.messages[-1].role == "tool":
            return Completion(assistant("It is sunny in Paris."), "stop", usage)
        call = ToolCall("call-1", "weather", '{"city": "Paris"}')
        return Completion(assistant("", (call,)), "tool_calls", usage)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in one piece."""
        yield whole(await self.complete(request))

    def bound(self, request: Request) -> Bound:
        """Bound the reply."""
        return Bound.at_price(100, self.card.price)

    async def aclose(self) -> None:
        """Do nothing."""


@tool
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


agent = Agent(Scripted(), tools=[weather], budget=Budget(usd="0.05", tokens=100_000, tool_calls=10))


async def run() -> str:
    """Carry out the task once."""
    answer = await agent.run("What is the weather in Paris?")
    return answer.text
