"""`agentkit budget`: a ledger from outside."""

import json
import sqlite3
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from agentkit.types import Cost, nano_usd
from tests.cli.conftest import Cli


@pytest.fixture
def ledger(folder: Path) -> str:
    """A ledger with two scopes below a day, one with a slice."""

    async def spend() -> None:
        with Ledger.open("sqlite:///ledger.db") as ledger:
            day = ledger.scope("user-42/day", limits={"usd": nano_usd("0.5")})
            for name, usd in (("a", "0.01"), ("b", "0.02")):
                hold = await day.share(name=name).reserve(Cost(usd=nano_usd("0.1")), dispatch=True)
                await hold.settle(Cost(usd=nano_usd(usd), tokens=1_200))
            day.slice({"usd": nano_usd("0.25")}, "c")
            ledger.scope("user-421", limits={"tokens": 5})

    anyio.run(spend)
    return "ledger.db"


def balances(out: str) -> dict[str, dict[str, dict[str, object]]]:
    return {scope.pop("scope"): scope for scope in json.loads(out)["scopes"]}


def test_every_scope_is_shown(cli: Cli, ledger: str) -> None:
    shown = balances(cli("budget", "show", ledger, "--json").out)
    assert list(shown) == ["user-42/day", "user-42/day/a", "user-42/day/b", "user-42/day/c", "user-421"]
    assert shown["user-42/day"]["limits"] == {"usd": "0.5"}
    assert shown["user-42/day"]["spent"] == {"usd": "0.03", "tokens": 2_400}
    assert shown["user-42/day"]["held"] == {}
    assert shown["user-421"]["limits"] == {"tokens": 5}


def test_the_table_says_the_same(cli: Cli, ledger: str) -> None:
    out = cli("budget", "show", f"sqlite:///{ledger}", "--scope", "user-42/day/a").out
    assert [line.split() for line in out.splitlines()] == [
        ["scope", "resource", "limit", "held", "allotted", "spent"],
        ["user-42/day/a", "tokens", "none", "0", "0", "1,200"],
        ["usd", "none", "$0.00", "$0.00", "$0.01"],
    ]


def test_a_scope_is_shown_with_those_below_it(cli: Cli, ledger: str) -> None:
    shown = balances(cli("budget", "show", ledger, "--scope", "user-42", "--json").out)
    assert list(shown) == ["user-42/day", "user-42/day/a", "user-42/day/b", "user-42/day/c"]
    assert cli("budget", "show", ledger, "--scope", "user-43").code == 3


def test_right_books_are_right(cli: Cli, ledger: str) -> None:
    assert cli("budget", "verify", ledger) == (0, "ledger.db: the books are right\n", "")


def test_wrong_books_are_told(cli: Cli, ledger: str) -> None:
    with sqlite3.connect(ledger) as database:
        database.execute("UPDATE lines SET spent = spent + 1 WHERE account = 'user-42/day/a' AND resource = 'usd'")
    database.close()
    code, out, _ = cli("budget", "verify", ledger)
    assert code == 1
    assert "'user-42/day/a' says spent usd 10000001" in out


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_ledger_that_is_not_there_is_not_made(cli: Cli, folder: Path, command: str) -> None:
    result = cli("budget", command, "none.db")
    assert result.code == 3
    assert list(folder.iterdir()) == []
