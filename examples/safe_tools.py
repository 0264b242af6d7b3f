"""Tools that keep to their place: a folder, a database, the public web, and code in a sandbox."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio

from agentkit import Agent
from agentkit.backends import ScriptedBackend, calls
from agentkit.tools.fetch import fetch_tool
from agentkit.tools.files import Folder
from agentkit.tools.sandbox import Sandbox, levels, python_tool
from agentkit.tools.sql import sql_tool
from agentkit.trace import ToolFinished

Path("notes").mkdir()
Path("notes/todo.txt").write_text("Order anvils.")
with closing(sqlite3.connect("shop.db")) as shop, shop:
    shop.execute("CREATE TABLE orders AS SELECT 17 AS id, 'anvil' AS item")

strongest = Sandbox(levels()[-1])  # say a level by name to be refused where the machine does not have it
tools = [Folder("notes"), sql_tool("shop.db"), fetch_tool(), python_tool(strongest)]
model = ScriptedBackend(
    [
        calls(("read_file", {"path": "todo.txt"})),
        calls(("read_file", {"path": "../shop.db"})),
        calls(("query", {"sql": "SELECT item FROM orders WHERE id = 17"})),
        calls(("query", {"sql": "DELETE FROM orders"})),
        calls(("fetch", {"url": "http://169.254.169.254/latest/meta-data"})),
        calls(("run_python", {"code": "print(6 * 7)"})),
        calls(("run_python", {"code": "import os; os.kill(os.getppid(), 9)"})),
        "Done.",
    ]
)


async def main() -> None:
    answer = await Agent(model, tools=tools).run("Look around.")
    for stamped in answer.trace:
        if isinstance(stamped.event, ToolFinished):
            print(f"{stamped.event.name}: {stamped.event.content.splitlines()[-2:]}")


if __name__ == "__main__":
    anyio.run(main)
