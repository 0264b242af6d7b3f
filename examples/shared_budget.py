"""Many calls under one tight budget: beside each other they are sent the likely output cap, and cut replies go on.

The caps are learnt from earlier replies. One report in ten is long; what its cap cuts is asked for in a further
call, under a hold of its own, so the budget holds whatever happens. The model is scripted.
"""

import anyio

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.tools import Context, tool
from agentkit.types import Request


def write(request: Request) -> str:
    return "word " * (90 if request.messages[0].text.endswith("9") else 30)


model = ScriptedBackend(write, bill="full", delay=0.0005)
writer = Agent(model, output_quantile=0.8, finish_line_gate=1, max_output_tokens=500)


@tool(timeout=None)
async def hand_out(context: Context[None]) -> str:
    "Have all reports written at once."
    words: list[int] = []

    async def one(number: int) -> None:
        words.append(len((await writer.run(f"Report {number}", scope=context.scope)).text.split()))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    return f"{len(words)} reports, {sum(words)} words"


async def main() -> None:
    for number in range(10):  # the writer learns how long its replies are
        await writer.run(f"Report {number}")
    model.requests.clear()
    lead = Agent(ScriptedBackend([calls(("hand_out", {})), "All reports are in."]), tools=[hand_out])
    answer = await lead.run("Write the reports.", budget=Budget(tokens=1_800))
    caps = [request.max_output_tokens for request in model.requests]
    reports = answer.messages[-2].text.splitlines()[0]  # below it stands the note on what is left
    print(f"{answer.status}: {reports}, {answer.spent['tokens']} of 1,800 tokens spent")
    print(f"{len(caps)} calls with output caps from {min(caps)} to {max(caps)} tokens")


if __name__ == "__main__":
    anyio.run(main)
