"""A search that a model helps: it describes the tools once, takes the task apart, and ranks what was found."""

from agentkit import Agent, Tool, tool
from agentkit.backends import ScriptedBackend
from agentkit.tools.index import ToolSearch


def made(name: str, description: str) -> Tool:
    def run(text: str) -> str:
        return text

    return tool(name=name, description=description)(run)


tools = [made(f"archive_{place}", f"Search part {place} of the archive.") for place in range(6)]
tools += [made("fx", "Convert an amount."), made("calculate", "Work out an expression.")]
helper = ScriptedBackend(
    [
        '{"fx": "how many euros are ten dollars? currency, exchange rate"}',
        '{"needs": ["exchange rate of two currencies"]}',
        '{"tools": ["fx"], "missing": ""}',
    ]
)
search = ToolSearch(top=2, model=helper, always=["calculate"], dependencies=True)
model = ScriptedBackend("Ten dollars are about nine euros.")
agent = Agent(model, tools=tools, tool_search=search)
answer = agent.run_sync("How many euros are ten dollars?", budget="usd=0.1")
print(answer.output)
print("offered:", ", ".join(spec.name for spec in model.requests[0].tools))
print("calls of the search:", len(helper.requests), "of all:", answer.spent["requests"])
