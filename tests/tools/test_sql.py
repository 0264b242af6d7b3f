"""A database that can only be read, whatever the statement says."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from agentkit.errors import ConfigError
from agentkit.messages import ToolCall, ToolResult
from agentkit.tools import Tool, invoke
from agentkit.tools.sql import sql_tool

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a shop?.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER, item TEXT, price REAL, photo BLOB)")
        database.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)", [(n, f"item {n}", n / 2, b"\x00\x01") for n in range(1, 301)]
        )
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


async def ask(tool: Tool, sql: str) -> ToolResult:
    return await invoke(tool, ToolCall("1", "query", json.dumps({"sql": sql})))


READS = {
    "SELECT id, item, price, photo FROM orders LIMIT 1": "id | item | price | photo\n1 | item 1 | 0.5 | <2 bytes>",
    "SELECT count(*), NULL FROM orders": "count(*) | NULL\n300 | NULL",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3) SELECT sum(i) FROM n": "sum(i)\n6",
    "SELECT a.id FROM orders a JOIN orders b ON a.id = b.id - 299": "id\n1",
}

REFUSED = [
    "INSERT INTO orders VALUES (1, 'x', 1, NULL)", "UPDATE orders SET price = 0", "DELETE FROM orders",
    "DROP TABLE orders", "CREATE TABLE t (x)", "CREATE TEMP TABLE t (x)", "ALTER TABLE orders ADD c",
    "ATTACH DATABASE '{other}' AS o", "VACUUM INTO '{other}'", "PRAGMA query_only = 0", "PRAGMA user_version = 7",
    "PRAGMA database_list", "BEGIN EXCLUSIVE", "SAVEPOINT a", "ANALYZE", "DETACH main",
    "SELECT load_extension('{other}')", "SELECT 1; DELETE FROM orders", "SELECT * FROM pragma_database_list",
    "CREATE VIRTUAL TABLE v USING fts5(x)", "SELECT writefile('{other}', 'x')", "EXPLAIN DELETE FROM orders", "",
    "SELECT zeroblob(1000000000)", "SELECT hex(randomblob(100000000))",
    "SELECT replace(hex(item), '0', printf('%.*c', 900000, 'x')) FROM orders",
]  # fmt: skip


async def test_reading(path: Path) -> None:
    tool = sql_tool(path)
    assert "CREATE TABLE orders" in tool.spec.description
    for sql, expected in READS.items():
        assert (await ask(tool, sql)).content == expected
    many = (await ask(tool, "SELECT id FROM orders")).content.splitlines()
    assert (many[1], many[-2], many[-1]) == ("1", "100", "[only the first 100 rows]")


@pytest.mark.parametrize("sql", REFUSED)
async def test_nothing_but_reading(path: Path, sql: str) -> None:
    before = content(path.parent)
    result = await ask(sql_tool(path), sql.replace("{other}", str(path.with_name("other.db"))))
    if sql:
        assert result.is_error, result.content
    assert content(path.parent) == before


async def test_a_view_of_the_file_calls_nothing_of_ours(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE VIEW trap AS SELECT load_extension('x')")
    assert (await ask(sql_tool(path), "SELECT * FROM trap")).is_error


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_statement_that_takes_too_long_ends(path: Path) -> None:
    result = await ask(sql_tool(path, seconds=0.2), ENDLESS)
    assert result.is_error and "it took too long" in result.content


async def test_a_cancelled_statement_leaves_no_thread_at_work(path: Path) -> None:
    with anyio.move_on_after(0.1):
        await ask(sql_tool(path, seconds=600), ENDLESS)
    with anyio.fail_after(60):
        while is_open(path):  # noqa: ASYNC110  # it has no event
            await anyio.sleep(0.01)


def is_open(path: Path) -> bool:
    handles = Path("/proc/self/fd").iterdir()
    return str(path) in {os.readlink(handle) for handle in handles if handle.is_symlink()}


async def test_large_values_are_cut(path: Path) -> None:
    result = await ask(sql_tool(path), "SELECT printf('%.*c', 900000, 'x') FROM orders")
    assert not result.is_error and len(result.content) < 21_000


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, and long enough to be sure of it" * 10)
    for name in ("text", "absent"):
        with pytest.raises(ConfigError, match="cannot be read"):
            sql_tool(tmp_path / name)
    assert not (tmp_path / "absent").exists()
