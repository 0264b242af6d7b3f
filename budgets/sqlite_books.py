"""Books in an SQLite file: loaded row by row as a rule asks, written back where a rule changed them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from agentkit.budgets.account import NOBODY, Account, EventKind, LedgerEvent, Line, Record
from agentkit.costs import Cost
from agentkit.types import Receipt

_HOLD_COLUMNS = "id, account, what, owner, state, asked, held, charged, estimated, overrun"
_SAVE_HOLD = f"""
    INSERT INTO holds ({_HOLD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, state = excluded.state, held = excluded.held,
        charged = excluded.charged, estimated = excluded.estimated, overrun = excluded.overrun
"""
_SAVE_ACCOUNT = """
    INSERT INTO accounts (name, parent, is_slice, owner, frozen, closed, children) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, frozen = excluded.frozen,
        closed = excluded.closed, children = excluded.children
"""
_SAVE_LINE = """
    INSERT INTO lines (account, resource, ceiling, held, allotted, spent, excess) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (account, resource) DO UPDATE SET held = excluded.held, allotted = excluded.allotted,
        spent = excluded.spent, excess = excluded.excess
"""

Row = tuple[Any, ...]


class SqliteBooks:
    """The books as one transaction sees them; each row is loaded once, so rules share its object."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self.owner = owner
        self._connection = connection
        self._accounts: dict[str, Account] = {}
        self._records: dict[str, Record] = {}
        self._events: list[Row] = []
        self._saved: dict[object, Row] = {}  # what the file says of each loaded object, to write only changes

    def find_account(self, name: str) -> Account | None:
        if (account := self._accounts.get(name)) is not None:
            return account
        sql = "SELECT parent, is_slice, owner, frozen, closed, children FROM accounts WHERE name = ?"
        row = self._connection.execute(sql, (name,)).fetchone()
        if row is None:
            return None
        parent, is_slice, owner, frozen, closed, children = row
        above = self.account(parent) if parent is not None else None
        account = Account(name, above, bool(is_slice), owner, bool(frozen), bool(closed), children)
        sql = "SELECT resource, ceiling, held, allotted, spent, excess FROM lines WHERE account = ?"
        for resource, *line in self._connection.execute(sql, (name,)):
            account.lines[resource] = Line(*line)
        self._accounts[name] = account
        self._saved.update(_account_rows(account))
        return account

    def account(self, name: str) -> Account:
        account = self.find_account(name)
        if account is None:
            raise LookupError(f"scope {name!r} is missing from the file")
        return account

    def children(self, account: Account) -> Sequence[Account]:
        sql = "SELECT name FROM accounts WHERE parent = ? ORDER BY rowid"
        return [self.account(name) for (name,) in self._select(sql, account.name)]

    def accounts(self) -> Iterable[Account]:
        return [self.account(name) for (name,) in self._select("SELECT name FROM accounts ORDER BY rowid")]

    def add_account(self, account: Account) -> None:
        self._accounts[account.name] = account

    def open_slices(self, owner: str) -> Sequence[Account]:
        """Return the slices that a process opened and nobody has closed."""
        sql = "SELECT name FROM accounts WHERE owner = ? AND is_slice AND NOT closed ORDER BY rowid DESC"
        return [self.account(name) for (name,) in self._select(sql, owner)]

    def find_record(self, hold: str) -> Record | None:
        if (record := self._records.get(hold)) is not None:
            return record
        row = self._connection.execute(f"SELECT {_HOLD_COLUMNS} FROM holds WHERE id = ?", (hold,)).fetchone()
        return self._load_record(row) if row else None

    def records(self, account: Account) -> Sequence[Record]:
        return self._select_records("account = ?", account.name)

    def open_records(self, owner: str) -> Sequence[Record]:
        """Return the holds that a process reserved and that have not ended."""
        return self._select_records("owner = ? AND charged IS NULL", owner)

    def add_record(self, record: Record) -> None:
        self._records[record.id] = record

    def log(self, kind: EventKind, scope: str, hold: str, amounts: Mapping[str, int], parent: str = "") -> None:
        self._events.append((time.time(), kind, scope, hold, _dump(amounts), parent))

    def events(self) -> Sequence[LedgerEvent]:
        rows = self._select("SELECT at, kind, scope, hold, amounts, parent FROM events ORDER BY seq")
        return [
            LedgerEvent(at, kind, scope, hold, _load(amounts), parent)
            for at, kind, scope, hold, amounts, parent in rows
        ]

    def has_orphans(self) -> bool:
        """Tell whether a hold or slice of a dead process is still open."""
        sql = f"""
            SELECT EXISTS (SELECT 1 FROM holds WHERE owner = '{NOBODY}' AND charged IS NULL)
                OR EXISTS (SELECT 1 FROM accounts WHERE owner = '{NOBODY}' AND is_slice AND NOT closed)
        """
        return bool(self._connection.execute(sql).fetchone()[0])

    def owners(self) -> list[tuple[str, int, str]]:
        """Return id, pid and start time of every process that has the ledger open, or died with it open."""
        return self._connection.execute("SELECT id, pid, started FROM owners").fetchall()

    def add_owner(self, owner: str, pid: int, started: str) -> None:
        """Note who has the ledger open."""
        self._connection.execute("INSERT INTO owners (id, pid, started) VALUES (?, ?, ?)", (owner, pid, started))

    def remove_owner(self, owner: str) -> None:
        """Forget an owner that holds nothing any more."""
        self._connection.execute("DELETE FROM owners WHERE id = ?", (owner,))

    def flush(self) -> None:
        """Write what has changed; the transaction is the caller's."""
        for account in self._accounts.values():
            for key, row in _account_rows(account).items():
                self._save(key, row, _SAVE_ACCOUNT if key == account.name else _SAVE_LINE)
        for record in self._records.values():
            self._save(record, _record_row(record), _SAVE_HOLD)
        if self._events:
            sql = "INSERT INTO events (at, kind, scope, hold, amounts, parent) VALUES (?, ?, ?, ?, ?, ?)"
            self._connection.executemany(sql, self._events)
            self._events.clear()

    def _save(self, key: object, row: Row, sql: str) -> None:
        if self._saved.get(key) != row:
            self._connection.execute(sql, row)
            self._saved[key] = row

    def _select(self, sql: str, *arguments: str) -> list[Row]:
        self.flush()  # a query must see what earlier rules of the same transaction did
        return self._connection.execute(sql, arguments).fetchall()

    def _select_records(self, condition: str, argument: str) -> Sequence[Record]:
        sql = f"SELECT {_HOLD_COLUMNS} FROM holds WHERE {condition} ORDER BY rowid"
        return [self._records.get(row[0]) or self._load_record(row) for row in self._select(sql, argument)]

    def _load_record(self, row: Row) -> Record:
        id, account, what, owner, state, asked, held, charged, estimated, overrun = row
        record = Record(id, self.account(account), what, owner, Cost(_load(asked)), Cost(_load(held)), state)
        if charged is not None:
            ending = Cost(_load(charged)), bool(estimated), Cost(_load(overrun))
            record.receipt = Receipt(id, account, what, state, record.held, *ending)
        self._records[id] = record
        self._saved[record] = row
        return record


def _account_rows(account: Account) -> dict[object, Row]:
    name = account.name
    parent = account.parent.name if account.parent is not None else None
    flags = int(account.frozen), int(account.closed), account.children
    rows: dict[object, Row] = {name: (name, parent, int(account.is_slice), account.owner, *flags)}
    for resource, line in account.lines.items():
        rows[name, resource] = (name, resource, line.limit, line.held, line.allotted, line.spent, line.excess)
    return rows


def _record_row(record: Record) -> Row:
    ending: Row = (None, None, None)
    if (receipt := record.receipt) is not None:
        ending = (_dump(receipt.charged), int(receipt.estimated), _dump(receipt.overrun))
    opening = (record.id, record.account.name, record.what, record.owner, record.state)
    return (*opening, _dump(record.asked), _dump(record.held), *ending)


def _dump(amounts: Mapping[str, int]) -> str:
    return json.dumps(dict(amounts.items()), separators=(",", ":"))


def _load(text: str) -> dict[str, int]:
    amounts: dict[str, int] = json.loads(text)
    return amounts
