"""The ledger: opens the books, hands out scopes, and answers for what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Self
from urllib.parse import parse_qs

import anyio.to_thread

from agentkit.budgets import audit, rules
from agentkit.budgets.account import LedgerEvent
from agentkit.budgets.memory import MemoryStore
from agentkit.budgets.scope import Scope, as_cost, open_scope
from agentkit.budgets.sqlite import SqliteStore
from agentkit.budgets.store import Store
from agentkit.errors import ConfigError
from agentkit.types import Receipt

Durability = Literal["process_crash", "power_loss"]


class Ledger:
    """Accounts, holds and receipts behind one URL; as a context manager it closes itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def open(cls, url: str = "memory:", *, durability: Durability = "process_crash") -> Ledger:
        """Open `memory:`, or `sqlite:///PATH` for books that processes of one machine share.

        SQLite keeps what was settled through a crash of the process; through a power cut only with the
        durability `power_loss`, also as `sqlite:///PATH?durability=power_loss`. Opening proves which earlier
        owners are dead and ends their holds. Raises ConfigError for a URL it cannot read, LedgerError when
        the file cannot be used.
        """
        if url == "memory:":
            return cls(MemoryStore())
        address, _, query = url.partition("?")
        scheme, _, path = address.partition(":///")
        options = {"durability": durability} | {key: values[-1] for key, values in parse_qs(query).items()}
        if scheme != "sqlite" or not path or options.keys() != {"durability"}:
            raise ConfigError(
                f"ledger {url!r} is not known; use 'memory:' or 'sqlite:///PATH[?durability=power_loss]'"
            )
        if options["durability"] not in ("process_crash", "power_loss"):
            raise ConfigError(
                f"durability {options['durability']!r} is not known; use process_crash or power_loss"
            )
        return cls(SqliteStore(path, power_loss=options["durability"] == "power_loss"))

    def scope(self, name: str, *, limits: Mapping[str, int] | None = None, parent: Scope | None = None) -> Scope:
        """Return the scope of this name, opened at its first use and shared by all who name it.

        With a parent it draws from it and is called `<parent>/<name>`. Raises ConfigError when it exists
        with other limits.
        """
        if not name:
            raise ConfigError("a scope needs a name")
        if parent is not None:
            return parent.share(limits, name)
        return open_scope(self._store, name, limits)

    async def reconcile(self, hold: str, billed: Mapping[str, int]) -> Receipt:
        """Correct the charge of an ended hold to what the provider billed, and return its new receipt."""
        receipt = await self._store.write(rules.reconcile, hold, as_cost(billed))
        self._store.waiting.wake()
        return receipt

    def events(self) -> Sequence[LedgerEvent]:
        """Return the append-only log, oldest first."""
        return self._store.read(lambda books: books.events())

    async def verify(self) -> list[str]:
        """Check every invariant of the books and return what is wrong, one line each."""
        return await anyio.to_thread.run_sync(self._store.read, audit.problems)

    def close(self) -> None:
        """Give up the books; holds this process left open are voided, or charged in full once dispatched."""
        self._store.close()
