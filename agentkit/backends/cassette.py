"""Cassettes: model replies recorded once and replayed without a network.

A cassette is a JSONL file with one row for each finished reply, keyed by the SHA-256 of the canonical request, and
one without a reply for each bound that was asked for: a run bounds calls it never makes, the final answer among
them.
Replies are kept as deltas, so that a recorded stream also answers `complete` and the other way round.

Secrets are taken out before a row is written, and before a key is made: a conversation that goes on from a
redacted reply finds its next recording.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields, is_dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import anyio.lowlevel
from pydantic import BaseModel, ValidationError

from agentkit.backends.base import Assembler, Backend, whole
from agentkit.errors import CassetteMiss, ConfigError
from agentkit.redaction import redact, redact_all
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Unbounded


class Recorder:
    """A backend that passes calls to `backend` and appends each finished reply to the cassette at `path`.

    Failed and abandoned calls are not recorded.
    """

    def __init__(self, backend: Backend, path: str | PathLike[str]) -> None:
        self._backend, self._path = backend, Path(path)
        self._bounded: set[str] = set()

    @property
    def card(self) -> ModelCard:
        """The model behind the recorded backend."""
        return self._backend.card

    async def complete(self, request: Request) -> Completion:
        """Return and record the whole reply."""
        completion = await self._backend.complete(request)
        self._record(request, [whole(completion)])
        return completion

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces and record it once it is finished."""
        deltas: list[Delta] = []
        async with aclosing(self._backend.stream(request)) as stream:
            async for delta in stream:
                deltas.append(delta)
                if delta.finish_reason:
                    self._record(request, deltas)
                yield delta

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return the bound of the recorded backend, and record it once."""
        key = request_key(self.card.model, request)
        if key not in self._bounded:
            self._bounded.add(key)
            self._record(request, [])
        return self._backend.bound(request)

    async def aclose(self) -> None:
        """Close the recorded backend."""
        await self._backend.aclose()

    def _record(self, request: Request, deltas: list[Delta]) -> None:
        model = self.card.model
        row = _Row(
            key=request_key(model, request),
            model=model,
            request=json.loads(redact(canonical(request))),
            bound=self._backend.bound(request),
            deltas=_redacted(deltas),
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(row.model_dump_json(exclude_defaults=True) + "\n")


class Replayer:
    """A backend that answers from the cassette at `path` and never calls out.

    The recordings of one request play in the order they were made, each once; after that, and for a request
    that was never recorded, CassetteMiss is raised. Raises ConfigError if the file cannot be read.
    """

    def __init__(self, path: str | PathLike[str], card: ModelCard) -> None:
        self.card = card
        self._path = Path(path)
        self._bounds: dict[str, Bound | Unbounded] = {}
        self._replies: defaultdict[str, deque[tuple[Delta, ...]]] = defaultdict(deque)
        for row in _rows(self._path):
            self._bounds[row.key] = row.bound
            if row.deltas:
                self._replies[row.key].append(row.deltas)

    async def complete(self, request: Request) -> Completion:
        """Return the next recording of `request`."""
        await anyio.lowlevel.checkpoint()
        reply = Assembler()
        for delta in self._next(request):
            reply.add(delta)
        return reply.partial()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the next recording of `request` in the pieces it was recorded in."""
        for delta in self._next(request):
            await anyio.lowlevel.checkpoint()
            yield delta

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return the recorded bound at the card's prices; raises CassetteMiss for an unknown request."""
        key = request_key(self.card.model, request)
        if key not in self._bounds:
            raise self._miss(key)
        bound, price = self._bounds[key], self.card.price
        if isinstance(bound, Unbounded):
            return bound
        priced = Bound.at_price(bound.input_tokens, price)
        return replace(bound, input_price=priced.input_price, output_price=priced.output_price)

    async def aclose(self) -> None:
        """Do nothing: the cassette was read at the start."""

    def _next(self, request: Request) -> tuple[Delta, ...]:
        key = request_key(self.card.model, request)
        if replies := self._replies.get(key):
            return replies.popleft()
        raise self._miss(key)

    def _miss(self, key: str) -> CassetteMiss:
        state = "every recording was played" if key in self._replies else "there is no recording"
        return CassetteMiss(self.card.name, f"{state} of request {key[:12]} in {self._path}; record it again")


def request_key(model: str, request: Request) -> str:
    """Return the SHA-256, in hexadecimal, of a request to a model, the same in every process.

    Fields at their default do not count, so that a new field of `Request` keeps old cassettes valid.
    """
    return hashlib.sha256(f"{model}\n{redact(canonical(request))}".encode()).hexdigest()


class _Row(BaseModel, extra="forbid"):
    """One line of a cassette; model and request are there for people who read or compare cassettes."""

    key: str
    model: str
    request: dict[str, Any]
    bound: Bound | Unbounded
    deltas: tuple[Delta, ...]


def _rows(path: Path) -> Iterator[_Row]:
    try:
        lines = path.read_bytes().splitlines()  # of text they would also end where a reply has U+2028 or the like
    except OSError as error:
        raise ConfigError(f"cassette {path} cannot be read ({error.strerror}); record it first") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield _Row.model_validate_json(line)
        except ValidationError as error:
            raise ConfigError(f"{path}:{number} is not a row of a cassette; delete the line") from error


def _redacted(deltas: Sequence[Delta]) -> tuple[Delta, ...]:
    """Return the reply without its secrets; the pieces stay as they came when there are none.

    Token probabilities spell the text out, so they go with it.
    """
    reply = Assembler()
    for delta in deltas:
        reply.add(delta)
    said = reply.partial().message
    thinking = "".join(delta.thinking for delta in deltas)
    texts = [said.text, thinking, *(call.arguments for call in said.tool_calls)]
    content = said.native.content if said.native else ()
    if redact_all(texts) is texts and redact_all(content) is content:
        return tuple(deltas)
    native = said.native and replace(said.native, content=redact_all(content))
    clean = replace(whole(reply.partial()), text=redact(said.text), thinking=redact(thinking), logprobs=())
    calls = tuple(replace(call, arguments=redact(call.arguments)) for call in clean.tool_calls)
    return (replace(clean, tool_calls=calls, native=native),)


def canonical(request: Request) -> str:
    """Return a request as one JSON text, the same for equal requests in every process."""
    return json.dumps(request, default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> object:
    if is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in fields(value) if field.compare)
        return {field.name: content for field, content in pairs if content != field.default}
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in a request cannot be written as JSON")
