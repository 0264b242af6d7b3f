# mypy: ignore-errors
# (its packages are in another environment)
"""Agno with a scripted model, its telemetry off."""

from agno.agent import Agent
from agno.models.base import Model
from agno.models.response import ModelResponse


class Scripted(Model):
    """Calls the tool, then answers."""

    def invoke(self, messages, assistant_message, **kwargs):
        if messages[-1].role == "tool":
            return ModelResponse(role="assistant", content="It is sunny in Paris.")
        function = {"name": "weather", "arguments": '{"city": "Paris"}'}
        call = {"id": "call-1", "type": "function", "function": function}
        return ModelResponse(role="assistant", tool_calls=[call])

    async def ainvoke(self, messages, assistant_message, **kwargs):
        return self.invoke(messages, assistant_message)

    def invoke_stream(self, *args, **kwargs):
        raise NotImplementedError

    def ainvoke_stream(self, *args, **kwargs):
        raise NotImplementedError

    def _parse_provider_response(self, response, **kwargs):
        return response

    def _parse_provider_response_delta(self, response):
        return response


async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


agent = Agent(model=Scripted(id="scripted"), tools=[weather], telemetry=False)


async def run() -> str:
    """Carry out the task once."""
    return (await agent.arun("What is the weather in Paris?")).content
