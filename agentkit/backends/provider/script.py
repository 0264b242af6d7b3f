"""What the models of a fake provider say: scripts, as for `ScriptedBackend`, and the turn that is played of one.

A token is a word with the whitespace after it. A prompt is counted the same way, over the JSON it came as.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from agentkit.messages import ToolCall
from agentkit.types import Completion, Request
from agentkit.usage import Price, Usage

_TOKEN = re.compile(r"\S+\s*|\s+")

PRICE = Price(Decimal(1), Decimal(4), cache_read=Decimal("0.1"), cache_write=Decimal("1.25"))
"""What a model costs whose script says nothing else, dollars per million tokens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its text, which may be a refusal, tool calls, and the thinking that is shown before both.

    `wait` is the time before the first token and `pace` the time of each, in seconds.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    refusal: bool = False
    wait: float = 0.0
    pace: float = 0.0


Says = str | Reply | Completion
Script = Says | Sequence[Says] | Callable[[Request], Says]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the provider: what it says, its price, and the tokens its prompt may have."""

    script: Script
    price: Price = PRICE
    context_window: int = 128_000


Kind = Literal["thinking", "text", "call", "arguments"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One output token; `index` is the number of the tool call that it belongs to."""

    kind: Kind
    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply as it is played under the output cap; `number` tells the provider's turns apart."""

    number: int
    model: str
    reply: Reply
    pieces: tuple[Piece, ...]
    ending: Literal["stop", "length", "tool_calls", "refusal"]
    usage: Usage

    @classmethod
    def play(cls, number: int, model: str, reply: Reply, cap: int, prompt: Usage) -> Turn:
        """Play `reply` until it ends or has `cap` tokens, after a prompt that is billed as `prompt`."""
        pieces = _pieces(reply)
        thought = sum(piece.kind == "thinking" for piece in pieces[:cap])
        usage = replace(prompt, output_tokens=min(cap, len(pieces)) - thought, reasoning_tokens=thought)
        if len(pieces) > cap:
            return cls(number, model, reply, pieces[:cap], "length", usage)
        ending: Literal["stop", "tool_calls", "refusal"] = "tool_calls" if reply.calls else "stop"
        return cls(number, model, reply, pieces, "refusal" if reply.refusal else ending, usage)

    def said(self, kind: Kind) -> str:
        """Return all that was made of one kind."""
        return "".join(piece.text for piece in self.pieces if piece.kind == kind)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, of which the last one may be cut."""
        begun = [piece.index for piece in self.pieces if piece.kind == "call"]
        return tuple(replace(self.reply.calls[index], arguments=self._arguments(index)) for index in begun)

    def _arguments(self, index: int) -> str:
        return "".join(p.text for p in self.pieces if p.kind == "arguments" and p.index == index)


def player(script: Script) -> Callable[[Request], Reply]:
    """Return what gives the next reply of `script`; it raises LookupError when there is none left."""
    if callable(script):
        return lambda request: _reply(script(request))
    if isinstance(script, Says):
        return lambda _: _reply(script)
    rest = iter(script)

    def play(_: Request) -> Reply:
        for said in rest:
            return _reply(said)
        raise LookupError("the script has no reply left; add one for each call")

    return play


def words(text: str) -> int:
    """Return how many tokens `text` has."""
    return len(text.split())


def object_of(arguments: str) -> dict[str, object] | None:
    """Return the object that the arguments of a call are, None when they are cut or none."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _reply(said: Says) -> Reply:
    if isinstance(said, str):
        return Reply(said)
    if isinstance(said, Completion):
        refused = said.finish_reason == "content_filter"
        return Reply(said.message.text, said.message.tool_calls, refusal=refused)
    return said


def _pieces(reply: Reply) -> tuple[Piece, ...]:
    made = [Piece("thinking", token) for token in _TOKEN.findall(reply.thinking)]
    made += [Piece("text", token) for token in _TOKEN.findall(reply.text)]
    for index, call in enumerate(reply.calls):
        made.append(Piece("call", call.name, index))
        made += [Piece("arguments", token, index) for token in _TOKEN.findall(call.arguments)]
    return tuple(made)
