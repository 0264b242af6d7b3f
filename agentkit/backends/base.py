"""What every model looks like from above: the Backend protocol, and how deltas become a completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Protocol

from agentkit.costs import Cost, nano_usd
from agentkit.errors import UnboundedCost
from agentkit.messages import Message, Native, ToolCall
from agentkit.types import Completion, Delta, FinishReason, ModelCard, Request, TokenLogprob, ToolCallDelta
from agentkit.usage import Bound, Unbounded, Usage


class Backend(Protocol):
    """Something that completes conversations.

    Backends neither retry nor spend: the executor reserves a hold before each call and settles it after.
    Errors are `BackendError`s. Closing a stream ends the call.
    """

    @property
    def card(self) -> ModelCard:
        """The model behind this backend."""
        ...

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces; the last delta carries the finish reason and the usage.

        Callers use `contextlib.aclosing`, so that leaving early closes the connection at once.
        """
        ...

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return a sound upper cost of the attempt as a function of the output cap."""
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


def bound_of(backend: Backend, request: Request) -> Bound:
    """Return the bound of a call, with the dollars that its card states where nothing bounds them.

    Raises UnboundedCost where the card states none either.
    """
    bound, card = backend.bound(request), backend.card
    if isinstance(bound, Unbounded):
        if card.usd_per_call is None:
            raise UnboundedCost(card.name, bound.reason)
        bound = Bound(card.context_window, None, None)
    return with_stated(bound, card)


def with_stated(bound: Bound, card: ModelCard) -> Bound:
    """Return `bound` with the dollars that `card` states, if it has none of its own."""
    if bound.priced or card.usd_per_call is None:
        return bound
    return replace(bound, usd_stated=nano_usd(card.usd_per_call))


def charge_of(usage: Usage, card: ModelCard) -> Cost:
    """Return what a reply is charged; without a price nobody knows less than what its card states."""
    charge = usage.cost(card.price)
    if card.price is not None or card.usd_per_call is None or usage.from_cache:
        return charge
    return Cost({**charge, "usd": nano_usd(card.usd_per_call)})


class Assembler:
    """Builds a `Completion` from deltas; `partial` gives what has arrived so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._logprobs: list[TokenLogprob] = []
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._native: Native | None = None

    def add(self, delta: Delta) -> None:
        """Take the next delta; the last usage seen wins."""
        if delta.text:
            self._text.append(delta.text)
        for piece in delta.tool_calls:
            call = self._calls.setdefault(piece.index, ["", "", ""])
            call[0] = call[0] or piece.id
            call[1] = call[1] or piece.name
            call[2] += piece.arguments
        self._logprobs.extend(delta.logprobs)
        self._finish = delta.finish_reason or self._finish
        self._usage = delta.usage or self._usage
        self._native = delta.native or self._native

    @property
    def finished(self) -> bool:
        """Whether a finish reason has arrived."""
        return self._finish is not None

    @property
    def usage(self) -> Usage | None:
        """The usage record, once it has arrived."""
        return self._usage

    def partial(self) -> Completion:
        """Return what has arrived, finished or not."""
        calls = tuple(ToolCall(c[0] or f"call_{i}", c[1], c[2]) for i, c in sorted(self._calls.items()))
        finish: FinishReason = self._finish or "length"
        message = Message("assistant", "".join(self._text), calls, native=self._native)
        return Completion(message, finish, self._usage, tuple(self._logprobs))


def assemble(deltas: Iterable[Delta]) -> Completion:
    """Return what `deltas` say so far."""
    reply = Assembler()
    for delta in deltas:
        reply.add(delta)
    return reply.partial()


def whole(completion: Completion) -> Delta:
    """Return `completion` as one delta, the inverse of `Assembler`, for backends that cannot stream."""
    message = completion.message
    calls = tuple(
        ToolCallDelta(i, call.id, call.name, call.arguments) for i, call in enumerate(message.tool_calls)
    )
    ending = completion.finish_reason, completion.usage
    return Delta(message.text, calls, completion.logprobs, *ending, native=message.native)
