# mypy: ignore-errors
# (its packages are in another environment)
"""Inspect: children generate at once under one token_limit of 1,000 tokens."""

import anyio
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.util import LimitExceededError, token_limit

billed = 0


async def reply(input, tools, tool_choice, config) -> ModelOutput:
    """A child's reply: 400 tokens, billed when the call leaves."""
    global billed
    billed += 400
    await anyio.sleep(0.05)
    output = ModelOutput.from_content("mockllm/model", "done")
    output.usage = ModelUsage(output_tokens=400, total_tokens=400)
    return output


async def run(children: int) -> dict[str, int]:
    """Return what the models billed and what the framework counted."""
    global billed
    billed = 0
    limit = token_limit(1_000)
    model = get_model("mockllm/model", custom_outputs=reply, memoize=False)
    try:
        with limit:
            async with anyio.create_task_group() as group:
                for number in range(children):
                    group.start_soon(model.generate, f"Report on part {number}.")
    except* LimitExceededError:
        pass
    return {"billed": billed, "counted": int(limit.usage)}
