"""Prompts of the executor's own: for a final answer when the budget is spent, and for the rest of a cut reply.

The wrap-up prompt is one self-contained user message, so that it fits any provider, needs no earlier tool calls
and can be trimmed.
"""

from __future__ import annotations

from collections.abc import Sequence

CLOSING = "The budget is spent. Answer now from these facts, and say what is missing."
CONTINUE = "Your reply was cut off. Go on from its very last character: repeat nothing, do not mention the cut."


def wrap_up_prompt(task: str, facts: Sequence[str]) -> str:
    """Return the prompt for a final answer to `task` from `facts`, one tool result each."""
    known = "\n".join(f"- {fact}" for fact in facts) if facts else "- none"
    return f"{task}\n\nFacts:\n{known}\n\n{CLOSING}"
