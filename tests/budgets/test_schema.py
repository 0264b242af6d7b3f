"""Files of older versions are brought up to date; files of newer ones and of other programs are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger, schema
from agentkit.costs import Cost
from agentkit.errors import LedgerError

# As version 1 wrote it: a scope with a limit of $10, $3 spent and a dead owner's call under way at $2.
VERSION_1 = """
CREATE TABLE owners (id TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL) STRICT;
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, parent TEXT REFERENCES accounts, is_slice INTEGER NOT NULL, owner TEXT NOT NULL,
    frozen INTEGER NOT NULL, closed INTEGER NOT NULL, children INTEGER NOT NULL) STRICT;
CREATE INDEX accounts_by_parent ON accounts (parent);
CREATE TABLE lines (
    account TEXT NOT NULL REFERENCES accounts, resource TEXT NOT NULL, ceiling INTEGER, held INTEGER NOT NULL,
    allotted INTEGER NOT NULL, spent INTEGER NOT NULL, excess INTEGER NOT NULL, PRIMARY KEY (account, resource),
    CHECK (held >= 0 AND allotted >= 0 AND spent >= 0 AND excess >= 0),
    CHECK (ceiling IS NULL OR held + allotted + spent <= ceiling + excess)) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts, what TEXT NOT NULL, owner TEXT NOT NULL,
    state TEXT NOT NULL, asked TEXT NOT NULL, held TEXT NOT NULL,
    charged TEXT, estimated INTEGER, overrun TEXT) STRICT;
CREATE INDEX holds_by_account ON holds (account);
CREATE INDEX open_holds_by_owner ON holds (owner) WHERE charged IS NULL;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
    hold TEXT NOT NULL, amounts TEXT NOT NULL, parent TEXT NOT NULL) STRICT;
INSERT INTO owners VALUES ('dead', 1, 'long ago');
INSERT INTO accounts VALUES ('app', NULL, 0, '', 0, 0, 0);
INSERT INTO lines VALUES ('app', 'usd', 10, 2, 0, 3, 0);
INSERT INTO holds VALUES
    ('a', 'app', '', 'gone', 'settled', '{"usd":4}', '{"usd":4}', '{"usd":3}', 0, '{}'),
    ('b', 'app', '', 'dead', 'dispatched', '{"usd":2}', '{"usd":2}', NULL, NULL, NULL);
INSERT INTO events (at, kind, scope, hold, amounts, parent) VALUES
    (1, 'open', 'app', '', '{"usd":10}', ''),
    (2, 'reserve', 'app', 'a', '{"usd":4}', ''), (2, 'dispatch', 'app', 'a', '{}', ''),
    (3, 'settle', 'app', 'a', '{"usd":3}', ''),
    (4, 'reserve', 'app', 'b', '{"usd":2}', ''), (4, 'dispatch', 'app', 'b', '{}', '');
PRAGMA user_version = 1;
"""


def _write(path: Path, script: str) -> str:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    return f"sqlite:///{path}"


def _ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def test_an_old_file_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with Ledger.open(_write(old, VERSION_1)) as ledger, Ledger.open(f"sqlite:///{new}"):
        app = ledger.scope("app", limits={"usd": 10})
        assert (app.view().spent, app.view().held) == (Cost(usd=5), Cost())
        assert [receipt.id for receipt in app.receipts()] == ["a", "b"]
        assert anyio.run(ledger.verify) == []
    assert _ask(old, "PRAGMA user_version") == [(schema.VERSION,)]
    indices = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
    assert _ask(old, indices) == _ask(new, indices)


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE events")
        raise sqlite3.OperationalError("the power went")

    path = tmp_path / "old.db"
    url = _write(path, VERSION_1)
    steps: tuple[Callable[[sqlite3.Connection], None], ...] = (*schema._STEPS[:1], half_done)
    with monkeypatch.context() as patched, pytest.raises(LedgerError, match="power went"):
        patched.setattr(schema, "_STEPS", steps)
        Ledger.open(url)
    assert _ask(path, "PRAGMA user_version") == [(1,)] and len(_ask(path, "SELECT * FROM events")) == 6
    with Ledger.open(url) as ledger:
        assert ledger.scope("app").view().spent == Cost(usd=5)


@pytest.mark.parametrize(
    "script, advice",
    [("PRAGMA user_version = 99", "use a newer agentkit"), ("CREATE TABLE theirs (x)", "another program")],
)
def test_files_of_newer_versions_and_other_programs_are_left_alone(
    tmp_path: Path, script: str, advice: str
) -> None:
    path = tmp_path / "other.db"
    with pytest.raises(LedgerError, match=advice):
        Ledger.open(_write(path, script))
    assert [name for (name,) in _ask(path, "SELECT name FROM sqlite_master")] in ([], ["theirs"])
    assert not list(tmp_path.glob("*.owner-*"))


def test_open_slices_are_found_by_their_index(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db"):
        pass
    plan = "EXPLAIN QUERY PLAN SELECT name FROM accounts WHERE owner = ? AND is_slice AND NOT closed"
    assert "open_slices_by_owner" in str(_ask(tmp_path / "ledger.db", plan.replace("?", "'x'")))
