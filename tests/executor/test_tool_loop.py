"""The tool loop's budget notes: appended only, and only when the band changes."""

import pytest

from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.costs import Budget
from tests.scenario import TASK, agent

pytestmark = pytest.mark.anyio

LOOK = calls(("find_order", {"number": 7}))


async def test_the_model_is_told_when_the_band_changes_and_only_then() -> None:
    backend = ScriptedBackend([*[LOOK] * 6, "Done."])
    await agent(backend).run(TASK, budget=Budget(tool_calls=8))
    results = [message.text for message in backend.requests[-1].messages if message.role == "tool"]
    notes = [text.partition("\n")[2] for text in results]
    assert notes == [
        "",
        "",
        "Budget MEDIUM: 62% of tool_calls left.",
        "",
        "",
        "Budget LOW: 25% of tool_calls left.",
    ]


async def test_every_prompt_is_the_last_one_continued() -> None:
    backend = ScriptedBackend([*[LOOK] * 6, "Done."])
    await agent(backend).run(TASK, budget=Budget(tool_calls=8))
    for earlier, later in zip(backend.requests, backend.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages


async def test_max_steps_counts_model_turns() -> None:
    backend = ScriptedBackend([*[LOOK] * 4, "Wrapped."])
    answer = await agent(backend, max_steps=4).run(TASK)
    assert (answer.stop_reason, answer.text, len(backend.requests)) == ("max_steps", "Wrapped.", 5)
    assert answer.unmet == ("no answer after 4 model turns",)
