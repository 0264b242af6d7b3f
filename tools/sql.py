"""A SQLite database as a tool that can only read it, whatever the statement says.

Three guards, each enough for most attacks: the file is opened read-only, an authorizer lets nothing pass but
reading, and SQLite's own limits and a progress handler end statements that want too much.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from anyio import to_thread

from agentkit.costs import Cost
from agentkit.errors import ConfigError, ToolFailed
from agentkit.tools.tool import Tool, tool

_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_REFUSED_FUNCTIONS = frozenset(
    {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "zeroblob", "randomblob"}
)
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_STEPS = 1000
"""Instructions of SQLite's machine between two looks at the clock."""
_CELL = 2_000
"""Characters of one value that are shown."""
_RESULT = 100_000
"""Characters of a result."""


def sql_tool(
    path: str | Path,
    *,
    name: str = "query",
    tables: bool = True,
    rows: int = 100,
    seconds: float = 5.0,
    cost: Mapping[str, Any] | Cost | None = None,
) -> Tool:
    """Return a tool that runs SELECT statements on the SQLite file at `path` and gives at most `rows` rows.

    With `tables` its description has the statements that made them. A statement ends after `seconds`. ConfigError
    when the file cannot be read.
    """
    path = Path(path)
    description = (
        "Read the database with one SELECT statement of SQLite; the first line of the result has the columns."
    )
    try:
        with closing(_open(path)) as database:
            made = database.execute(
                "SELECT sql FROM sqlite_master WHERE sql NOTNULL AND type IN ('table', 'view')"
            )
            schema = "\n".join(statement for (statement,) in made)
    except sqlite3.Error as error:
        raise ConfigError(f"the database {str(path)!r} cannot be read: {error}") from error

    @tool(name=name, description=f"{description}\n{schema}" if tables else description, cost=cost, timeout=None)
    async def query(sql: str) -> str:
        reading = _Reading(path, sql, rows, time.monotonic() + seconds)
        try:
            return await to_thread.run_sync(reading.run, abandon_on_cancel=True)
        finally:
            reading.stop()  # a thread that was left behind ends within a thousand steps

    return query


class _Reading:
    """One statement, in a thread; `stop` may come from another."""

    def __init__(self, path: Path, sql: str, rows: int, deadline: float) -> None:
        self._path, self._sql, self._rows, self._deadline = path, sql, rows, deadline

    def stop(self) -> None:
        self._deadline = 0.0

    def run(self) -> str:
        try:
            with closing(_open(self._path)) as database:
                database.set_authorizer(_authorize)
                database.set_progress_handler(self._is_over, _STEPS)
                cursor = database.execute(self._sql)
                lines = [_line(column[0] for column in cursor.description or ())]
                room = _RESULT
                for count, row in enumerate(cursor):
                    if count == self._rows or room < 0:
                        lines.append(f"[only the first {count} rows]")
                        break
                    lines.append(_line(row))
                    room -= len(lines[-1])
                return "\n".join(lines)
        except sqlite3.OperationalError as error:
            late = "interrupted" in str(error)
            raise ToolFailed("SQL", "it took too long; ask for less" if late else str(error)) from error
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise ToolFailed("SQL", f"{error}; only one SELECT statement is taken") from error

    def _is_over(self) -> bool:
        return time.monotonic() > self._deadline


def _open(path: Path) -> sqlite3.Connection:
    # a URI, since nothing else opens without the right to write, journal and all
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    for limit, amount in _LIMITS.items():
        database.setlimit(limit, amount)
    database.execute("PRAGMA query_only = 1")
    database.execute("PRAGMA trusted_schema = 0")  # views and triggers of a foreign file call no function of ours
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return database


def _authorize(action: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:
    if action not in _ALLOWED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _line(values: Iterable[object]) -> str:
    return " | ".join(map(_shown, values))


def _shown(value: object) -> str:
    text = "NULL" if value is None else f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"
