"""What the fake says in the tests of what is read from it: a model for each kind of reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentkit.backends.provider import Reply
from agentkit.messages import ToolCall
from agentkit.types import FinishReason


@dataclass(frozen=True)
class Case:
    """A reply under an output cap, how it ends, and what is left of its text if it is cut."""

    reply: Reply
    finish: FinishReason
    cap: int = 100
    left: str | None = None

    @property
    def text(self) -> str:
        """The text that is read of it."""
        return self.reply.text if self.left is None else self.left


PARIS = ToolCall("", "weather", '{"city": "Paris", "days": 3}')
OSLO = ToolCall("", "weather", '{"city": "Oslo"}')
NOW = ToolCall("", "now", "{}")

CASES: Mapping[str, Case] = {
    "text": Case(Reply("High tide is at noon."), "stop"),
    "other-scripts": Case(Reply('Ebbe — 引き潮 🌊\nund "Flut" \\ \u2028.'), "stop"),
    "just-fits": Case(Reply("High tide is at noon."), "stop", cap=5),
    "cut-by-one": Case(Reply("High tide is at noon."), "length", cap=4, left="High tide is at "),
    "cut": Case(Reply("High tide is at noon."), "length", cap=2, left="High tide "),
    "a-call": Case(Reply(calls=(PARIS,)), "tool_calls"),
    "text-and-calls-at-once": Case(Reply("Let me look.", (PARIS, OSLO, NOW)), "tool_calls"),
    "thinking": Case(Reply("At noon.", thinking="The moon is high."), "stop"),
    "thinking-before-a-call": Case(Reply(calls=(NOW,), thinking="What time is it?"), "tool_calls"),
    "cut-while-thinking": Case(Reply("At noon.", thinking="The moon is high."), "length", cap=3, left=""),
    "refusal": Case(Reply("I cannot say that.", refusal=True), "content_filter"),
}
