# mypy: ignore-errors
# (its packages are in another environment)
"""OpenAI Agents with a scripted model; its trace is kept in memory and exported nowhere."""

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_trace_processors
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Scripted(Model):
    """Calls the tool, then answers."""

    async def get_response(self, system_instructions, input, *args, **kwargs):
        items = input if isinstance(input, list) else []
        if any(item.get("type") == "function_call_output" for item in items):
            text = ResponseOutputText(annotations=[], text="It is sunny in Paris.", type="output_text")
            output = ResponseOutputMessage(
                id="m1", content=[text], role="assistant", status="completed", type="message"
            )
        else:
            output = ResponseFunctionToolCall(
                arguments='{"city": "Paris"}', call_id="call-1", name="weather", type="function_call"
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError


@function_tool
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


set_trace_processors([])
agent = Agent(name="agent", model=Scripted(), tools=[weather])


async def run() -> str:
    """Carry out the task once."""
    return (await Runner.run(agent, "What is the weather in Paris?")).final_output
