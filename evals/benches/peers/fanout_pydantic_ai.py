# mypy: ignore-errors
# (its packages are in another environment)
"""PydanticAI: a tool starts children that share the run's usage under a limit of 1,000 tokens."""

import anyio
from pydantic_ai import Agent, RunContext
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

LIMITS = UsageLimits(total_tokens_limit=1_000, request_limit=None)
billed = 0


async def reply(messages, info):
    """A child's reply: 400 tokens, billed when the call leaves."""
    global billed
    billed += 400
    await anyio.sleep(0.05)
    return ModelResponse(parts=[TextPart("done")], usage=RequestUsage(output_tokens=400))


async def script(messages, info):
    """Call the tool, then answer; 10 tokens each."""
    global billed
    billed += 10
    returned = any(isinstance(part, ToolReturnPart) for part in messages[-1].parts)
    part = TextPart("done") if returned else ToolCallPart("fan_out", {})
    return ModelResponse(parts=[part], usage=RequestUsage(output_tokens=10))


parent = Agent(FunctionModel(script), deps_type=int)
child = Agent(FunctionModel(reply))


@parent.tool
async def fan_out(ctx: RunContext[int]) -> str:
    """Hand out the parts and collect the reports."""

    async def report(number: int) -> None:
        await child.run(f"Report on part {number}.", usage=ctx.usage, usage_limits=LIMITS)

    async with anyio.create_task_group() as group:
        for number in range(ctx.deps):
            group.start_soon(report, number)
    return "done"


async def run(children: int) -> dict[str, int]:
    """Return what the models billed and what the framework counted."""
    global billed
    billed, usage = 0, RunUsage()
    try:
        await parent.run("Fan out, then answer.", deps=children, usage=usage, usage_limits=LIMITS)
    except* UsageLimitExceeded:
        pass
    return {"billed": billed, "counted": usage.total_tokens}
