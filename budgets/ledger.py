"""The ledger: opens the books, hands out scopes, and answers for what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import Final, Literal, Self, cast, get_args
from urllib.parse import parse_qs

import anyio.to_thread

from agentkit.budgets import audit, rules
from agentkit.budgets.account import LedgerEvent
from agentkit.budgets.memory import MemoryStore
from agentkit.budgets.scope import Limits, Scope, as_cost, open_scope
from agentkit.budgets.store import Orphans, Store
from agentkit.errors import ConfigError
from agentkit.types import Receipt

Durability = Literal["process_crash", "power_loss"]
_OPTIONS: Final = {"durability": get_args(Durability), "orphans": get_args(Orphans)}


class Ledger:
    """Accounts, holds and receipts behind one URL; as a context manager it closes itself."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def open(
        cls,
        url: str = "memory:",
        *,
        durability: Durability = "process_crash",
        orphans: Orphans = "charge",
        clock: Callable[[], float] = time.time,
    ) -> Ledger:
        """Open `memory:`, or `sqlite:///PATH` for books that processes of one machine share.

        SQLite keeps what was settled through a crash of the process; through a power cut only with the
        durability `power_loss`. Opening proves which earlier owners are dead and voids what they had only
        reserved; `orphans` is what becomes of the calls they had dispatched, whose bill is unknown: `charge`
        in full, `void` (spending may then pass the limit unseen), or `keep` held until `reconcile`. Both may
        stand in the URL, as in `sqlite:///PATH?durability=power_loss&orphans=keep`. `clock` tells the Unix
        time for `window`. Raises ConfigError for a URL it cannot read, LedgerError when the file cannot be
        used.
        """
        if url == "memory:":
            return cls(MemoryStore(), clock)
        address, _, query = url.partition("?")
        scheme, _, path = address.partition(":///")
        if scheme != "sqlite" or not path:
            raise ConfigError(f"ledger {url!r} is not known; use 'memory:' or 'sqlite:///PATH'")
        options: dict[str, str] = {"durability": durability, "orphans": orphans}
        options |= {name: values[-1] for name, values in parse_qs(query).items()}
        for name, value in options.items():
            if value not in _OPTIONS.get(name, ()):
                known = "; ".join(f"{option} is {' or '.join(values)}" for option, values in _OPTIONS.items())
                raise ConfigError(f"option {name}={value} of ledger {url!r} is not known; {known}")
        from agentkit.budgets.sqlite import SqliteStore  # most runs keep their books in memory

        power_loss = options["durability"] == "power_loss"
        return cls(SqliteStore(path, power_loss=power_loss, orphans=cast(Orphans, options["orphans"])), clock)

    def scope(self, name: str, *, limits: Limits | None = None, parent: Scope | None = None) -> Scope:
        """Return the scope of this name, opened at its first use and shared by all who name it.

        With a parent it draws from it and is called `<parent>/<name>`. Raises ConfigError when it exists
        with other limits.
        """
        if not name:
            raise ConfigError("a scope needs a name")
        if parent is not None:
            return parent.share(limits, name)
        return open_scope(self._store, name, limits)

    def window(
        self,
        name: str,
        *,
        day: Limits | None = None,
        month: Limits | None = None,
        tz: tzinfo = UTC,
        parent: Scope | None = None,
    ) -> Scope:
        """Return the scope of today, of this month, or, with both limits, of today within this month.

        They are called `NAME/2026-11-20`, `NAME/2026-11` and `NAME/2026-11/20`. Each is an account of its
        own, opened at its first use and never reset; a hold, and a scope opened below, stays with the window
        it was made in. So ask for the window anew for every run. Days begin at midnight in `tz`.
        """
        if not name or (day is None and month is None):
            raise ConfigError("a window needs a name and the limits of a day, of a month or of both")
        if not isinstance(tz, tzinfo):
            raise ConfigError(f"tz is a time zone such as ZoneInfo('Europe/Berlin'), not {tz!r}")
        today = datetime.fromtimestamp(self._clock(), tz)
        if month is None:
            return self.scope(f"{name}/{today:%Y-%m-%d}", limits=day, parent=parent)
        whole = self.scope(f"{name}/{today:%Y-%m}", limits=month, parent=parent)
        return whole if day is None else whole.share(day, f"{today:%d}")

    async def reconcile(self, hold: str, billed: Mapping[str, int]) -> Receipt:
        """Correct the charge of a hold to what the provider billed, and return its new receipt.

        Resources that `billed` does not name keep their charge. Raises UnknownHold, and HoldStateError while
        the hold is open, unless its owner is dead and it was kept: then the bill settles it.
        """
        as_cost(billed)  # refuses what is no amount; the zeros that a Cost leaves out count here
        receipt = await self._store.write(rules.reconcile, hold, dict(billed))
        self._store.waiting.wake()
        return receipt

    def receipt(self, hold: str) -> Receipt | None:
        """Return the receipt of a hold, None while it is open; raises UnknownHold."""
        return self._store.read(rules.find, hold).receipt

    def events(self) -> Sequence[LedgerEvent]:
        """Return the append-only log, oldest first."""
        return self._store.read(lambda books: books.events())

    async def verify(self) -> list[str]:
        """Check every invariant of the books and return what is wrong, one line each."""
        return await anyio.to_thread.run_sync(self._store.read, audit.problems)

    def close(self) -> None:
        """Give up the books; holds this process left open are voided, or charged in full once dispatched."""
        self._store.close()
