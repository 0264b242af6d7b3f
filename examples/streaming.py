"""A run as it happens: each decision, tool call and piece of text is an event; the answer comes last."""

import anyio

from agentkit import Agent, Answer, Budget, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.trace import Routed, Settled, TextDelta, ToolFinished, ToolStarted


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def main() -> None:
    model = ScriptedBackend([calls(("add", {"a": 19, "b": 23})), "The sum is 42."], delay=0.01)
    agent = Agent(model, tools=[add])

    async with agent.stream("What is 19 + 23?", budget=Budget(usd="0.01")) as events:
        async for event in events:
            match event:
                case Routed(model=name, reason=reason) if name:
                    print(f"→ {name}: {reason}")
                case ToolStarted(name=name, arguments=arguments):
                    print(f"  {name}({arguments})", end=" ")
                case ToolFinished(content=content):
                    print(f"= {content}")
                case TextDelta(text=text):
                    print(text, end="", flush=True)
                case Settled(charged=charged) if charged["usd"]:
                    print(f"  [${charged.usd}]")
                case Answer(status=status, spent=spent):
                    print(f"{status}, ${spent.usd} in all")


if __name__ == "__main__":
    anyio.run(main)
