"""The tables of the SQLite file, and the steps that bring an older file up to date.

`PRAGMA user_version` counts the steps that a file has taken; a new file takes them all. A step that was
released never changes: what comes later is a new step at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Final

from agentkit.errors import LedgerError


def bring_up_to_date(connection: Connection, location: str) -> None:
    """Take the steps that the file lacks, all or none; raises LedgerError where none lead here."""
    with connection:  # commits, or rolls back when the block raises
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version > VERSION:
            reason = f"it has schema version {version} and this agentkit knows {VERSION}; use a newer agentkit"
            raise LedgerError(location, reason)
        if version == 0 and tables:
            raise LedgerError(location, "it is a database of another program; use another file")
        for step in _STEPS[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _tables(connection: Connection) -> None:
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)


def _index_of_open_slices(connection: Connection) -> None:
    """Without it every opening and closing of the file reads all accounts there ever were."""
    connection.execute("CREATE INDEX open_slices_by_owner ON accounts (owner) WHERE is_slice AND NOT closed")


_TABLES: Final = """
CREATE TABLE owners (
    id TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL
) STRICT;
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, parent TEXT REFERENCES accounts, is_slice INTEGER NOT NULL, owner TEXT NOT NULL,
    frozen INTEGER NOT NULL, closed INTEGER NOT NULL, children INTEGER NOT NULL
) STRICT;
CREATE INDEX accounts_by_parent ON accounts (parent);
CREATE TABLE lines (
    account TEXT NOT NULL REFERENCES accounts, resource TEXT NOT NULL,
    ceiling INTEGER, held INTEGER NOT NULL, allotted INTEGER NOT NULL, spent INTEGER NOT NULL,
    excess INTEGER NOT NULL,
    PRIMARY KEY (account, resource),
    CHECK (held >= 0 AND allotted >= 0 AND spent >= 0 AND excess >= 0),
    CHECK (ceiling IS NULL OR held + allotted + spent <= ceiling + excess)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts, what TEXT NOT NULL, owner TEXT NOT NULL,
    state TEXT NOT NULL, asked TEXT NOT NULL, held TEXT NOT NULL,
    charged TEXT, estimated INTEGER, overrun TEXT
) STRICT;
CREATE INDEX holds_by_account ON holds (account);
CREATE INDEX open_holds_by_owner ON holds (owner) WHERE charged IS NULL;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
    hold TEXT NOT NULL, amounts TEXT NOT NULL, parent TEXT NOT NULL
) STRICT;
"""
_STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_tables, _index_of_open_slices)
VERSION: Final = len(_STEPS)
"""The schema version this code reads and writes."""
