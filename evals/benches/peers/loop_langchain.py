# mypy: ignore-errors
# (its packages are in another environment)
"""LangChain's create_agent with a scripted chat model."""

from langchain.agents import create_agent
from langchain.tools import tool
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class Scripted(BaseChatModel):
    """Calls the tool, then answers."""

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if isinstance(messages[-1], ToolMessage):
            reply = AIMessage("It is sunny in Paris.")
        else:
            call = {"name": "weather", "args": {"city": "Paris"}, "id": "call-1"}
            reply = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=reply)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)


@tool
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


agent = create_agent(Scripted(), [weather])


async def run() -> str:
    """Carry out the task once."""
    state = await agent.ainvoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
    return state["messages"][-1].content
