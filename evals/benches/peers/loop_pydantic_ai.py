# mypy: ignore-errors
# (its packages are in another environment)
"""PydanticAI with its FunctionModel and usage limits."""

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import UsageLimits


async def script(messages, info):
    """Call the tool, then answer."""
    if any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
        return ModelResponse(parts=[TextPart("It is sunny in Paris.")])
    return ModelResponse(parts=[ToolCallPart("weather", {"city": "Paris"})])


agent = Agent(FunctionModel(script))


@agent.tool_plain
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


async def run() -> str:
    """Carry out the task once."""
    limits = UsageLimits(total_tokens_limit=100_000, tool_calls_limit=10)
    return (await agent.run("What is the weather in Paris?", usage_limits=limits)).output
