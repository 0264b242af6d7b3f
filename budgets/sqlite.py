"""A ledger in an SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from agentkit.budgets import rules
from agentkit.budgets.account import NOBODY
from agentkit.budgets.owner import OwnerLock, bury, is_dead, on_network
from agentkit.budgets.schema import bring_up_to_date
from agentkit.budgets.sqlite_books import SqliteBooks
from agentkit.budgets.store import Books, Orphans, Store
from agentkit.errors import AgentkitError, LedgerError

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_SECONDS: Final = 30
_THREADS: Final = 64
_ADVICE: Final = {
    "BUSY": f"another process kept it locked for {_BUSY_SECONDS} s: try again",
    "CANTOPEN": "name a file in a folder that exists",
    "CONSTRAINT": "its balances would break a limit: run `agentkit budget verify`",
    "CORRUPT": "restore it from a copy, or use another file",
    "FULL": "free disk space",
    "IOERR": "free disk space, or raise the limit on the size of files",
    "NOTADB": "use another file",
    "READONLY": "make the file and its folder writable",
}
# Tools that block share the default limiter of the event loop; the ledger must not queue behind them.
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("agentkit_ledger_threads")


class SqliteStore(Store):
    """Commits rules in groups: whoever gets the writer's lock commits all that is pending."""

    def __init__(self, path: str, *, power_loss: bool = False, orphans: Orphans = "charge") -> None:
        super().__init__(path)
        self._orphans: Orphans = orphans
        self._path = Path(path).absolute()
        if on_network(self._path):
            raise LedgerError(path, "SQLite loses writes on a network file system; use a local disk")
        self._closed = False
        self._pending: deque[_Job[Any]] = deque()
        self._writing = Lock()
        self._reading = Lock()
        try:
            with ExitStack() as opened:
                self._writer = opened.enter_context(closing(self._connect(power_loss)))
                bring_up_to_date(self._writer, path)
                self._reader = opened.enter_context(closing(self._connect(power_loss)))
                self._lock = opened.enter_context(closing(OwnerLock(self._path)))
                self.write_now(SqliteBooks.add_owner, self._lock.id, self._lock.pid, self._lock.started)
                self._recover()
                self._release = opened.pop_all().close
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    async def write(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        job = self._submit(lambda books: rule(books, *args, **kwargs))
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._drive, job, limiter=_threads())
        except anyio.get_cancelled_exc_class():
            self._drive(job)  # a bare asyncio cancellation passes the shield; the rule still has to end
            raise
        return job.outcome()

    def write_now(self, rule: Callable[Concatenate[SqliteBooks, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        job = self._submit(lambda books: rule(books, *args, **kwargs))
        self._drive(job)
        return job.outcome()

    def read(self, rule: Callable[Concatenate[SqliteBooks, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.check_process()
        with self._reading:
            try:
                self._reader.execute("BEGIN")
                try:
                    return rule(SqliteBooks(self._reader, self._lock.id), *args, **kwargs)
                finally:
                    self._reader.execute("ROLLBACK")
            except (sqlite3.Error, LookupError, ValueError) as error:
                raise self._unusable(error) from error

    async def recover(self) -> None:
        await anyio.to_thread.run_sync(self._recover, limiter=_threads())

    def close(self) -> None:
        if self._closed:
            return
        try:
            self.write_now(_settle_estate, self._lock.id)
        finally:
            self._closed = True
            self._release()

    def _connect(self, power_loss: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if power_loss else 'NORMAL'}")
        return connection

    def _recover(self) -> None:
        dead = [
            owner for owner, pid, start in self.read(SqliteBooks.owners) if is_dead(self._path, owner, pid, start)
        ]
        if self.read(SqliteBooks.has_orphans):
            dead.append(NOBODY)
        for owner in dead:
            # Books too broken to take it stay as they are, held included, and open for `verify` to tell.
            with suppress(LedgerError):
                self.write_now(_settle_estate, owner, self._orphans)
                bury(self._path, owner)

    def _submit(self, rule: Callable[[SqliteBooks], T]) -> _Job[T]:
        self.check_process()
        if self._closed:
            raise LedgerError(self.location, "it was closed; open it again")
        job = _Job(rule)
        self._pending.append(job)
        return job

    def _drive(self, job: _Job[T]) -> None:
        with self._writing:
            if not job.done:
                self._commit_pending()

    def _commit_pending(self) -> None:
        batch = []
        while self._pending:
            batch.append(self._pending.popleft())
        books = SqliteBooks(self._writer, self._lock.id)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.run(books)
            books.flush()
            self._writer.execute("COMMIT")
        except BaseException as error:
            for job in batch:
                job.error = self._unusable(error)
                job.error.__cause__ = error
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if not isinstance(error, Exception):
                raise
        finally:
            for job in batch:
                job.done = True

    def _unusable(self, error: BaseException) -> LedgerError:
        code = getattr(error, "sqlite_errorname", "").split("_")  # SQLITE_READONLY_DIRECTORY and the like
        advice = _ADVICE.get(code[1]) if len(code) > 1 else None
        return LedgerError(self.location, f"{error}; {advice}" if advice else str(error) or type(error).__name__)


class _Job(Generic[T]):
    """A rule on its way through a group commit; its outcome counts once it is done."""

    def __init__(self, rule: Callable[[SqliteBooks], T]) -> None:
        self.rule = rule
        self.done = False
        self.error: Exception | None = None
        self._result: T

    def run(self, books: SqliteBooks) -> None:
        """Apply the rule; a refusal changes nothing, so the rest of the group goes on."""
        try:
            self._result = self.rule(books)
        except AgentkitError as refusal:
            self.error = refusal

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result


def _threads() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(limiter := anyio.CapacityLimiter(_THREADS))
        return limiter


def _settle_estate(books: SqliteBooks, owner: str, orphans: Orphans = "charge") -> None:
    """End the open holds of an owner, close its slices in which nobody else holds anything, forget it.

    What stays open is nobody's: orphans that are kept, and slices that others hold something in.
    """
    for record in books.open_records(owner):
        if record.state == "dispatched" and orphans == "keep":
            record.owner = NOBODY
        else:
            rules.end(books, record, billed=orphans == "charge")
    for account in books.open_slices(owner):
        if any(line.held or line.allotted for line in account.lines.values()):
            account.owner = NOBODY
        else:
            rules.close_account(books, account.name)
    books.remove_owner(owner)
