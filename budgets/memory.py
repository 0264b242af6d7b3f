"""Books in the memory of one process: nothing to install, nothing kept after it ends."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from agentkit.budgets.account import Account, EventKind, LedgerEvent, Record
from agentkit.budgets.store import Books, Store

P = ParamSpec("P")
T = TypeVar("T")


class MemoryBooks:
    """The books as dictionaries."""

    owner = "this process"

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._children: defaultdict[str, list[Account]] = defaultdict(list)
        self._records: dict[str, Record] = {}
        self._records_of: defaultdict[str, list[Record]] = defaultdict(list)
        self._events: list[tuple[float, EventKind, str, str, Mapping[str, int], str]] = []

    def find_account(self, name: str) -> Account | None:
        return self._accounts.get(name)

    def account(self, name: str) -> Account:
        return self._accounts[name]

    def children(self, account: Account) -> Sequence[Account]:
        return self._children.get(account.name, ())

    def accounts(self) -> Iterable[Account]:
        return self._accounts.values()

    def add_account(self, account: Account) -> None:
        self._accounts[account.name] = account
        if account.parent is not None:
            self._children[account.parent.name].append(account)

    def find_record(self, hold: str) -> Record | None:
        return self._records.get(hold)

    def records(self, account: Account) -> Sequence[Record]:
        return self._records_of.get(account.name, ())

    def add_record(self, record: Record) -> None:
        self._records[record.id] = record
        self._records_of[record.account.name].append(record)

    def log(self, kind: EventKind, scope: str, hold: str, amounts: Mapping[str, int], parent: str = "") -> None:
        self._events.append((time.time(), kind, scope, hold, amounts, parent))

    def events(self) -> Sequence[LedgerEvent]:
        return [LedgerEvent(*event) for event in self._events]


class MemoryStore(Store):
    """One set of books under one lock; a rule never blocks in it, so neither does the event loop."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self._books = MemoryBooks()
        self._lock = Lock()

    async def write(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.check_process()
        with self._lock:
            return rule(self._books, *args, **kwargs)

    def write_now(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.check_process()
        with self._lock:
            return rule(self._books, *args, **kwargs)

    read = write_now

    async def recover(self) -> None:
        """Nobody else is here to have died."""

    def close(self) -> None:
        """The books go with the process."""
