"""The floor: the same two turns and one tool call in a plain loop."""

from collections.abc import Mapping
from typing import Any

TASK = "What is the weather in Paris?"


async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


async def model(messages: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Call the tool, then answer."""
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "text": "It is sunny in Paris.", "calls": []}
    return {"role": "assistant", "text": "", "calls": [{"name": "weather", "arguments": {"city": "Paris"}}]}


async def run() -> str:
    """Carry out the task once."""
    tools = {"weather": weather}
    messages: list[Mapping[str, Any]] = [{"role": "user", "text": TASK}]
    while True:
        reply = await model(messages)
        messages.append(reply)
        if not reply["calls"]:
            return str(reply["text"])
        for call in reply["calls"]:
            messages.append({"role": "tool", "text": await tools[call["name"]](**call["arguments"])})
