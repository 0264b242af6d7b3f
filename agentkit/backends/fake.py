"""A model that plays a script and keeps its own bill, for tests of anything that spends.

A token is a word with the whitespace after it; the provider's side of the ledger's promise is `bill`, the
usage of each attempt as a provider would invoice it, which a test compares with the receipts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal
from zlib import crc32

import anyio
import anyio.lowlevel

from agentkit.backends.base import Assembler
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, BadRequest
from agentkit.messages import ToolCall, assistant, user
from agentkit.types import Completion, Delta, ModelCard, Request, ToolCallDelta
from agentkit.usage import Bound, Price, Usage
from agentkit.wrap_up import CONTINUE

_TOKEN = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Faulty:
    """A reply that goes wrong.

    `drop_usage` bills without a usage record; `overbill` bills that factor of the bound instead of the true
    usage; `fail_after` breaks the connection after that many tokens.
    """

    reply: str | Completion
    drop_usage: bool = False
    overbill: float | None = None
    fail_after: int | None = None


Reply = str | Completion | Faulty | Exception
Script = Reply | Sequence[Reply] | Callable[[Request], Reply]

SCRIPTED = ModelCard("scripted", backend="fake", model="scripted", price=Price(Decimal(1), Decimal(4)))


def calls(*wanted: tuple[str, Mapping[str, Any]], text: str = "") -> Completion:
    """Return the reply that calls tools, given as (name, arguments); the backend numbers the calls."""
    tool_calls = tuple(ToolCall("", name, json.dumps(arguments)) for name, arguments in wanted)
    return Completion(assistant(text, tool_calls), "tool_calls")


def errs_on(
    wrong: Sequence[bool], right: Callable[[Request], Reply], mistaken: Callable[[Request], Reply]
) -> Callable[[Request], Reply]:
    """Return a script that errs as a recorded model did: `wrong` says of each recorded item whether it failed.

    A conversation stands for the item that its first user turn hashes to: a question fails always or never.
    """

    def play(request: Request) -> Reply:
        asked = next((message.text for message in request.messages if message.role == "user"), "")
        fails = wrong[crc32(asked.encode("utf-8", "surrogatepass")) % len(wrong)]
        return mistaken(request) if fails else right(request)

    return play


class ScriptedBackend:
    """A backend that plays `replies`: one reply for ever, a sequence in order, or a function of the request.

    A reply is a text, a `Completion` (whose own `usage`, if any, is reported when it ends untruncated), tool calls
    (see `calls`), a `Faulty` reply, or an exception to raise, which is never billed. `bill` says what a disconnect
    costs: the tokens "streamed" so far or the "full" reply; the card's capabilities follow it. A reply that the
    output cap cut goes on where it stopped when more of it is asked for, without a new one from the script.
    `delay` is in seconds per token. `requests` and `bill` are the logs of what came in and what was billed.
    """

    def __init__(
        self,
        replies: Script,
        *,
        card: ModelCard = SCRIPTED,
        bill: Literal["streamed", "full"] = "streamed",
        delay: float = 0.0,
    ) -> None:
        exact = bill == "streamed"
        capabilities = replace(card.capabilities, stop_ends_billing=exact, streams_every_billed_token=exact)
        self.card = replace(card, capabilities=capabilities)
        self.delay = delay
        self.requests: list[Request] = []
        self.bill: list[Usage] = []
        self._next_reply = _player(self.card.name, replies)
        self._rest: dict[str, Faulty] = {}  # by the text of a reply that was cut

    @property
    def billed(self) -> Cost:
        """The sum of the bill."""
        return sum((usage.cost(self.card.price) for usage in self.bill), Cost())

    async def complete(self, request: Request) -> Completion:
        """Return the next reply whole; raises what the script says."""
        attempt = await self._open(request)
        try:
            await anyio.lowlevel.checkpoint()  # every call lets others run, as a real one does
            while self.delay and attempt.made < attempt.length:
                await anyio.sleep(self.delay)
                attempt.made += 1
            attempt.made = attempt.length
            if attempt.breaks:
                raise BackendUnavailable(self.card.name, "the connection broke before the reply; try again")
            return attempt.completion()
        finally:
            self._close(attempt)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the next reply token by token, then the finish reason and the usage."""
        attempt = await self._open(request)
        try:
            for piece in attempt.pieces[: attempt.length]:
                await anyio.sleep(self.delay)
                attempt.made += 1
                yield replace(piece, usage=attempt.usage()) if attempt.metered else piece
            await anyio.lowlevel.checkpoint()
            if attempt.breaks:
                detail = f"the connection broke after {attempt.made} tokens; try again"
                raise BackendUnavailable(self.card.name, detail, partial=attempt.partial())
            yield attempt.last_delta()
        finally:
            self._close(attempt)

    def bound(self, request: Request) -> Bound:
        """Return the exact input in words, as this backend counts, and the card's dearest prices."""
        return Bound.at_price(_input_words(request), self.card.price)

    async def aclose(self) -> None:
        """Do nothing: a script holds no resources."""

    async def _open(self, request: Request) -> _Attempt:
        self.requests.append(request)
        said = _said(request)
        reply = self._rest.get(said) or self._next_reply(request)
        if isinstance(reply, Exception):
            await anyio.lowlevel.checkpoint()
            raise reply
        faulty = reply if isinstance(reply, Faulty) else Faulty(reply)
        ids = f"{self.card.name}-{len(self.requests)}"
        return _Attempt(request, faulty, ids, self.card.capabilities.stop_ends_billing, said)

    def _close(self, attempt: _Attempt) -> None:
        self.bill.append(attempt.usage())
        if attempt.truncated and attempt.made == attempt.length:
            said = attempt.partial().message.text
            rest = replace(attempt.reply.message, text=attempt.reply.message.text[len(said) :])
            reply = replace(attempt.reply, message=rest, usage=None)
            self._rest[attempt.said + said] = replace(attempt.faulty, reply=reply, fail_after=None)


class _Attempt:
    """One playing of a reply under an output cap: what is sent, and what is billed when it ends."""

    def __init__(
        self, request: Request, faulty: Faulty, ids: str, stop_ends_billing: bool, said: str = ""
    ) -> None:
        self.said = said
        self.request, self.faulty, self.stop_ends_billing = request, faulty, stop_ends_billing
        self.words = _input_words(request)
        self.reply = _completion(faulty.reply, ids)
        self.pieces = list(_pieces(self.reply))
        self.full_length = min(len(self.pieces), request.max_output_tokens)
        self.breaks = faulty.fail_after is not None and faulty.fail_after <= self.full_length
        self.length = faulty.fail_after if self.breaks and faulty.fail_after is not None else self.full_length
        self.made = 0

    @property
    def metered(self) -> bool:
        return self.stop_ends_billing and not self.faulty.drop_usage

    @property
    def truncated(self) -> bool:
        return self.full_length < len(self.pieces)

    def usage(self) -> Usage:
        """What the provider bills if the attempt ends now."""
        words, cap = self.words, self.request.max_output_tokens
        if factor := self.faulty.overbill:
            return Usage(math.ceil(factor * words), output_tokens=math.ceil(factor * cap))
        if self.stop_ends_billing and self.made < self.full_length:
            return Usage(words, output_tokens=self.made)
        if self.reply.usage and not self.truncated:
            return self.reply.usage
        return Usage(words, output_tokens=self.full_length)

    def last_delta(self) -> Delta:
        usage = None if self.faulty.drop_usage else self.usage()
        logprobs = self.reply.logprobs[: self.full_length] if self.request.logprobs else ()
        return Delta(
            finish_reason="length" if self.truncated else self.reply.finish_reason, usage=usage, logprobs=logprobs
        )

    def completion(self) -> Completion:
        last = self.last_delta()
        message = self.partial().message if self.truncated else self.reply.message
        return Completion(message, last.finish_reason or "stop", last.usage, last.logprobs)

    def partial(self) -> Completion:
        """What has been made so far."""
        assembler = Assembler()
        for piece in self.pieces[: self.made]:
            assembler.add(piece)
        return assembler.partial()


def _player(model: str, replies: Script) -> Callable[[Request], Reply]:
    if callable(replies):
        return replies
    if isinstance(replies, Reply):
        return lambda _: replies
    script = iter(replies)

    def play(_: Request) -> Reply:
        for reply in script:
            return reply
        raise BadRequest(model, "the script has no reply left; add one for each call")

    return play


def _said(request: Request) -> str:
    """The beginning of the reply that is asked to be gone on with, empty for a new reply."""
    turns = request.messages
    turn = turns[-2] if len(turns) > 1 and turns[-1] == user(CONTINUE) else turns[-1]
    return turn.text if turn.role == "assistant" else ""


def _completion(reply: str | Completion, ids: str) -> Completion:
    """The reply with an id on every tool call that has none."""
    if isinstance(reply, str):
        return Completion(assistant(reply), "stop")
    message = reply.message
    if all(call.id for call in message.tool_calls):
        return reply
    numbered = tuple(replace(call, id=call.id or f"{ids}-{i}") for i, call in enumerate(message.tool_calls))
    return replace(reply, message=replace(message, tool_calls=numbered))


def _pieces(reply: Completion) -> Iterator[Delta]:
    """One delta for each output token; the name of a call is one token."""
    yield from _text_pieces(reply.message.text)
    for index, call in enumerate(reply.message.tool_calls):
        yield Delta(tool_calls=(ToolCallDelta(index, call.id, call.name),))
        for token in _TOKEN.findall(call.arguments):
            yield Delta(tool_calls=(ToolCallDelta(index, arguments=token),))


@lru_cache(maxsize=256)  # benches play the same reply many thousand times
def _text_pieces(text: str) -> tuple[Delta, ...]:
    return tuple(Delta(token) for token in _TOKEN.findall(text))


@lru_cache(maxsize=1024)  # a conversation is counted again at every turn
def _words(text: str) -> int:
    return len(text.split())


def _input_words(request: Request) -> int:
    words = 0
    for message in request.messages:
        words += _words(message.text)
        for call in message.tool_calls:
            words += 1 + _words(call.arguments)
    for tool in request.tools:
        words += 1 + _words(tool.description) + _words(str(tool.parameters))
    return words
