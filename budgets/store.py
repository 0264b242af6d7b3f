"""What the ledger asks of a store: books to apply the rules to, one transaction per rule."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

from agentkit.budgets.account import Account, EventKind, LedgerEvent, Record
from agentkit.budgets.waiting import Waiting
from agentkit.errors import LedgerError

P = ParamSpec("P")
T = TypeVar("T")

Orphans = Literal["charge", "void", "keep"]
"""What becomes of the dispatched holds of a process that died; `Ledger.open` says more."""


class Books(Protocol):
    """Accounts, hold records and the event log, as one transaction sees them."""

    owner: str

    def find_account(self, name: str) -> Account | None:
        """Return the account, None if it was never opened."""
        ...

    def account(self, name: str) -> Account:
        """Return an account that is known to exist."""
        ...

    def children(self, account: Account) -> Sequence[Account]:
        """Return the accounts directly below, shares and slices, in the order of opening."""
        ...

    def accounts(self) -> Iterable[Account]:
        """Return every account, parents first."""
        ...

    def add_account(self, account: Account) -> None:
        """Take a new account."""
        ...

    def find_record(self, hold: str) -> Record | None:
        """Return the record of a hold, None if it was never reserved."""
        ...

    def records(self, account: Account) -> Sequence[Record]:
        """Return the records of the holds made in this very account, in the order of reservation."""
        ...

    def add_record(self, record: Record) -> None:
        """Take a new record."""
        ...

    def log(self, kind: EventKind, scope: str, hold: str, amounts: Mapping[str, int], parent: str = "") -> None:
        """Append an event."""
        ...

    def events(self) -> Sequence[LedgerEvent]:
        """Return the log, oldest first."""
        ...


class Store(ABC):
    """Runs rules over books, each as one transaction: all of it happens, or nothing."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.waiting = Waiting()
        self._pid = os.getpid()
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    @abstractmethod
    async def write(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply a rule that changes the books; once it has begun, a cancellation waits for its end."""

    @abstractmethod
    def write_now(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply a rule that changes the books, blocking this thread for the one transaction."""

    @abstractmethod
    def read(self, rule: Callable[Concatenate[Books, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply a rule that only looks, on a consistent state."""

    @abstractmethod
    async def recover(self) -> None:
        """End what owners left open whose death is proven."""

    @abstractmethod
    def close(self) -> None:
        """Give up the store; holds that this process left open are voided, or charged once dispatched."""

    def new_id(self) -> str:
        """Return an id no other hold has, in any process."""
        return f"{self._prefix}-{next(self._numbers)}"

    def check_process(self) -> None:
        """Raise LedgerError in a forked child: its copy of the state and of the locks is not its own."""
        if os.getpid() != self._pid:
            raise LedgerError(
                self.location, "it was opened before this process forked; open the ledger in the child instead"
            )
