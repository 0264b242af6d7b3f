"""The response cache: the same request to the same model is answered again for nothing, from a SQLite file.

A reply is found by model, interface, address and the whole request but for its output cap: a reply that ended by
itself is the model's reply under every cap that has room for it. Only such replies are kept, none that was cut or
refused, and none with a secret in it. What is sampled (a temperature above 0) is not cached unless that is asked
for.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path

from anyio.to_thread import run_sync
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from agentkit.backends.base import Assembler, Backend, whole
from agentkit.backends.cassette import canonical
from agentkit.errors import CacheError
from agentkit.redaction import redact
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Unbounded, Usage

_APPLICATION = 0x616B6331  # tells our file from any other SQLite database
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS replies (
        key TEXT PRIMARY KEY, output_tokens INTEGER, made REAL, used REAL, size INTEGER, reply TEXT
    );
    CREATE INDEX IF NOT EXISTS replies_by_use ON replies (used, size);
"""
_BUSY_SECONDS = 5.0
_REFRESH_SECONDS = 60.0  # how exactly the last use is known: a hit seldom writes
_COMPLETION = TypeAdapter(Completion)


class Kept:
    """A reply that `backend` gave before, as a backend that gives it again."""

    def __init__(self, backend: Backend, reply: Completion) -> None:
        self._backend, self._reply = backend, reply

    @property
    def card(self) -> ModelCard:
        """The model that gave the reply."""
        return self._backend.card

    async def complete(self, request: Request) -> Completion:
        """Return the reply."""
        return self._reply

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in one piece."""
        yield whole(self._reply)

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return the bound of the backend."""
        return self._backend.bound(request)

    async def aclose(self) -> None:
        """Do nothing: the backend is closed where it was opened."""


class CachingBackend:
    """Answers from the cache at `path`, else asks `backend` and keeps its reply.

    A hit is settled at zero and its usage says `from_cache`. It needs the room of a call all the same, but neither
    waits for the model nor counts as one of its calls. `ttl` in seconds, None for ever; beyond `max_bytes` of
    replies those that were not used for longest go. Processes may share the file. Raises CacheError where it
    cannot be used.
    """

    def __init__(
        self,
        backend: Backend,
        path: str | PathLike[str],
        *,
        ttl: float | None = None,
        max_bytes: int = 256 * 2**20,
        sampled: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._backend, self._path = backend, Path(path)
        self._ttl, self._max_bytes, self._sampled, self._clock = ttl, max_bytes, sampled, clock
        self._failure: CacheError | None = None

    @property
    def card(self) -> ModelCard:
        """The model behind the cache."""
        return self._backend.card

    async def complete(self, request: Request) -> Completion:
        """Return the kept reply, or the backend's."""
        if (kept := await self.kept(request)) is not None:
            return await kept.complete(request)
        completion = await self._backend.complete(request)
        await self._keep(request, completion)
        return completion

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the kept reply in one piece, or the backend's in its own."""
        if (kept := await self.kept(request)) is not None:
            async for delta in kept.stream(request):
                yield delta
            return
        reply = Assembler()
        async with aclosing(self._backend.stream(request)) as deltas:
            async for delta in deltas:
                reply.add(delta)
                yield delta
        if reply.finished:
            await self._keep(request, reply.partial())

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return the bound of the backend."""
        return self._backend.bound(request)

    async def aclose(self) -> None:
        """Close the backend; the file is open only while it is read or written."""
        await self._backend.aclose()

    async def kept(self, request: Request) -> Kept | None:
        """Return what gives the kept reply, None if there is none."""
        if self._failure is not None:
            raise self._failure
        if not self._is_cached(request):
            return None
        reply = await run_sync(self._read, self._key(request), request.max_output_tokens)
        return None if reply is None else Kept(self._backend, reply)

    # ------------------------------------------------------------ what is asked and kept
    async def _keep(self, request: Request, completion: Completion) -> None:
        if not self._is_cached(request) or completion.finish_reason not in ("stop", "tool_calls"):
            return
        usage = completion.usage and replace(completion.usage, raw=None)
        try:
            text = _COMPLETION.dump_json(replace(completion, usage=usage), exclude_defaults=True).decode()
        except PydanticSerializationError:  # half a surrogate pair, which a model may write
            return
        if redact(text) is not text:
            return
        needed = usage.total_output if usage else request.max_output_tokens
        try:
            await run_sync(self._write, self._key(request), needed, text)
        except CacheError as error:
            self._failure = error  # the reply was paid for, so it is the next call that is told

    def _is_cached(self, request: Request) -> bool:
        return self._sampled or not request.temperature

    def _key(self, request: Request) -> str:
        card, address = self.card, getattr(self._backend, "base_url", "")
        asked = canonical(replace(request, max_output_tokens=0))
        parts = "\n".join((card.backend, str(address), card.model, repr(card.capabilities), asked))
        return hashlib.sha256(parts.encode()).hexdigest()

    # ------------------------------------------------------------ the file
    def _read(self, key: str, output_cap: int) -> Completion | None:
        now = self._clock()
        oldest = now - self._ttl if self._ttl is not None else float("-inf")
        with self._open() as db:
            row = db.execute(
                "SELECT reply, used FROM replies WHERE key = ? AND output_tokens <= ? AND made >= ?",
                (key, output_cap, oldest),
            ).fetchone()
            if row is None:
                return None
            if row[1] < now - _REFRESH_SECONDS:
                db.execute("UPDATE replies SET used = ? WHERE key = ?", (now, key))
            completion = _COMPLETION.validate_json(row[0])
            return replace(completion, usage=replace(completion.usage or Usage(), from_cache=True))

    def _write(self, key: str, output_tokens: int, reply: str) -> None:
        now = self._clock()
        with self._open() as db:
            if self._ttl is not None:
                db.execute("DELETE FROM replies WHERE made < ?", (now - self._ttl,))
            size = len(reply.encode())
            row = (key, output_tokens, now, now, size, reply)
            db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)
            (total,) = db.execute("SELECT SUM(size) FROM replies").fetchone()
            if total > self._max_bytes:
                newest = "SELECT key, SUM(size) OVER (ORDER BY used DESC, rowid DESC) AS sofar FROM replies"
                over = f"SELECT key FROM ({newest}) WHERE sofar > ?"
                db.execute(f"DELETE FROM replies WHERE key IN ({over})", (self._max_bytes,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; a connection of its own is safe in every thread and process."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as db:
                _prepare(db)
                with db:
                    yield db
        except (sqlite3.Error, OSError) as error:
            raise CacheError(str(self._path), str(error)) from error
        except ValidationError as error:
            raise CacheError(str(self._path), "a reply in it cannot be read") from error


def _prepare(db: sqlite3.Connection) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application == _APPLICATION:
        return
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if application or tables:
        raise sqlite3.DatabaseError("it is a database of something else")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; COMMIT;")
