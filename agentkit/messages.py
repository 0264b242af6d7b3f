"""Conversations: messages, tool calls and tool results.

A message is immutable; a conversation is a tuple of them. Each backend converts to its own wire format,
so nothing here knows a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

SUMMARY = "summary"
"""The `name` of a user turn that no user wrote: it tells what was left out of a conversation, tool results too."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the call `call_id`; `content` is what the model reads."""

    call_id: str
    name: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a user turn: its bytes and their media type, such as image/png, or the address of one."""

    media_type: str = ""
    data: bytes = b""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Native:
    """An assistant turn in its provider's own form: thinking blocks, signatures, encrypted reasoning.

    It goes back as it came to the same `dialect` and `model`, as their interfaces demand, and to no other.
    """

    dialect: str
    model: str
    content: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    `images` only on user turns, `tool_calls` and `native` only on assistant turns, `call_id` and `name` only on
    tool turns, but for a `SUMMARY`.
    """

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""
    images: tuple[Image, ...] = ()
    native: Native | None = field(default=None, compare=False, repr=False)


def system(text: str) -> Message:
    """Return a system message."""
    return Message("system", text)


def user(text: str) -> Message:
    """Return a user message."""
    return Message("user", text)


def assistant(text: str, tool_calls: tuple[ToolCall, ...] = ()) -> Message:
    """Return an assistant message."""
    return Message("assistant", text, tool_calls)


def tool_message(result: ToolResult) -> Message:
    """Return the message that carries `result` back to the model."""
    return Message("tool", result.content, call_id=result.call_id, name=result.name)
