# mypy: ignore-errors
# (its packages are in another environment)
"""smolagents' ToolCallingAgent, which is synchronous; its answer is a call of its final_answer tool."""

from smolagents import ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)
from smolagents.monitoring import LogLevel


class Scripted(Model):
    """Calls the tool, then answers."""

    def generate(self, messages, **kwargs):
        if any(message.role == MessageRole.TOOL_RESPONSE for message in messages):
            name, arguments = "final_answer", {"answer": "It is sunny in Paris."}
        else:
            name, arguments = "weather", {"city": "Paris"}
        function = ChatMessageToolCallFunction(name=name, arguments=arguments)
        call = ChatMessageToolCall(function, "call-1", "function")
        return ChatMessage(MessageRole.ASSISTANT, None, [call])


@tool
def weather(city: str) -> str:
    """Tell the weather in a city.

    Args:
        city: the city
    """
    return f"Sunny in {city}."


agent = ToolCallingAgent([weather], Scripted(), verbosity_level=LogLevel.OFF)


async def run() -> str:
    """Carry out the task once."""
    return agent.run("What is the weather in Paris?")
