"""Tool calls in a model's text: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as Hermes and Qwen write.

A block that holds anything else still becomes a call, named `MALFORMED_CALL` with the raw text as arguments:
no such tool exists, so the caller sees the failure and can answer it or escalate.
"""

from __future__ import annotations

import json
from uuid import uuid4

from agentkit.local_models.stops import partial_match
from agentkit.types import Request, ToolCallDelta, ToolSpec

OPEN_TAG, CLOSE_TAG = "<tool_call>", "</tool_call>"
MALFORMED_CALL = "malformed_tool_call"


def offered_tools(request: Request) -> tuple[ToolSpec, ...]:
    """Return the tools the prompt shows: none if none may be called."""
    return () if request.tool_choice == "none" else request.tools


def forced_opening(request: Request) -> str:
    """Return what the reply is made to start with, so that a required call is really made."""
    return OPEN_TAG if request.tool_choice == "required" and request.tools else ""


class ToolCallParser:
    """Splits a stream of text into plain text and tool calls, the same way however the stream is cut.

    A call appears once its block is closed. White space beside a block belongs to the block. `opening` is text
    that the prompt already holds.
    """

    def __init__(self, opening: str = "") -> None:
        self._buffer = opening
        self._inside = False
        self._after_block = False
        self.count = 0

    def feed(self, text: str) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """Take more text; return the plain text and the calls that are certain by now."""
        self._buffer += text
        shown, calls = "", []
        while True:
            head, tag, rest = self._buffer.partition(CLOSE_TAG if self._inside else OPEN_TAG)
            if not tag:
                break
            if self._inside:
                calls.append(self._call(head))
            else:
                shown += self._plain(head.rstrip())
            self._buffer, self._inside, self._after_block = rest, not self._inside, True
        if not self._inside:
            shown += self._certain_text()
        return shown, tuple(calls)

    def close(self) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """Return what was held back; a block without its end is read as it stands."""
        rest, self._buffer = self._buffer, ""
        if self._inside:
            self._inside = False
            return "", (self._call(rest),)
        return self._plain(rest), ()

    def _certain_text(self) -> str:
        sure = self._buffer[: len(self._buffer) - partial_match(self._buffer, OPEN_TAG)].rstrip()
        self._buffer = self._buffer[len(sure) :]
        return self._plain(sure)

    def _plain(self, text: str) -> str:
        if self._after_block:
            text = text.lstrip()
        self._after_block = self._after_block and not text
        return text

    def _call(self, block: str) -> ToolCallDelta:
        name, arguments = _parse(block)
        self.count += 1
        return ToolCallDelta(self.count - 1, f"call_{uuid4().hex}", name, arguments)


def _parse(block: str) -> tuple[str, str]:
    raw = block.strip()
    try:
        call = json.loads(raw)
        name, arguments = call["name"], call.get("arguments", {})
        text = (
            arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        )
        (name + text).encode()  # lone surrogates pass as JSON but are no text
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return MALFORMED_CALL, raw
    return (name, text) if name else (MALFORMED_CALL, raw)
