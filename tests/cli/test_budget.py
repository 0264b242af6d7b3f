"""`agentkit budget`: a ledger from outside."""

import json
import sqlite3
import sys
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger
from agentkit.cli.waterfall import Step, waterfall
from agentkit.costs import Cost, nano_usd
from tests.cli.conftest import Cli


@pytest.fixture
def ledger(folder: Path) -> str:
    """A ledger with two scopes below a day, one with a slice."""

    async def spend() -> None:
        with Ledger.open("sqlite:///ledger.db") as ledger:
            day = ledger.scope("user-42/day", limits={"usd": nano_usd("0.5")})
            for name, usd in (("a", "0.01"), ("b", "0.02")):
                hold = await day.share(name=name).reserve(Cost(usd=nano_usd("0.1")), id=name, dispatch=True)
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


# ---------------------------------------------------------------- reconcile
def charged(ledger: str, hold: str) -> Cost:
    with Ledger.open(f"sqlite:///{ledger}") as books:
        assert anyio.run(books.verify) == []
        receipt = books.receipt(hold)
        assert receipt is not None
        return receipt.charged


def test_one_charge_is_corrected(cli: Cli, ledger: str) -> None:
    code, out, _ = cli("budget", "reconcile", ledger, "a", "--usd", "0.015", "--json")
    assert code == 0
    (correction,) = json.loads(out)["corrections"]
    assert (correction["hold"], correction["scope"], correction["overrun"]) == (
        "a",
        "user-42/day/a",
        {"tokens": 1_200},
    )
    assert correction["before"] == {"usd": "0.01", "tokens": 1_200}
    assert correction["charged"] == {"usd": "0.015", "tokens": 1_200}
    assert charged(ledger, "a") == Cost(usd=nano_usd("0.015"), tokens=1_200)
    row = cli("budget", "reconcile", ledger, "a", "--tokens", "0").out.splitlines()[1].split()
    assert row == ["a", "user-42/day/a", "$0.015", "·", "1,200", "tokens", "$0.015"]


@pytest.mark.parametrize(
    "name, text",
    [
        ("bill.csv", "id,usd,tokens\na,0.015,\nnobody,1,1\nb,0,7\n"),
        (
            "bill.jsonl",
            '{"id": "a", "usd": "0.015"}\n{"id": "nobody", "usd": 1}\n{"id": "b", "usd": 0, "tokens": 7}\n',
        ),
    ],
)
def test_a_bill_corrects_every_hold_it_can(cli: Cli, ledger: str, folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    code, out, err = cli("budget", "reconcile", ledger, "--bill", name)
    assert code == 4 and "no hold has the id 'nobody'" in err
    assert [line.split()[0] for line in out.splitlines()] == ["hold", "a", "b"]
    assert charged(ledger, "a") == Cost(usd=nano_usd("0.015"), tokens=1_200)
    assert charged(ledger, "b") == Cost(tokens=7)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("id,usd\na,0.1\n,1\n", "bill.csv:3: a row of a bill needs the id"),
        ("id,usd\na,0.1\na,1\n", "bill.csv:3: hold 'a' is billed twice"),
        ("id,usd\na,-1\n", "bill.csv:2: an amount of dollars must be finite and not negative"),
        ("id,usd\na,NaN\n", "bill.csv:2: an amount of dollars must be finite"),
        ("id,usd\na,much\n", "bill.csv:2: "),
        ("id,tokens\na,1.5\n", "bill.csv:2: invalid literal"),
        ("id,euros\na,1\n", "bill.csv:2: 'euros' is not a resource"),
        ("id,usd\na,\n", "bill.csv:2: nothing is billed"),
        ("id,usd\na,1,2\n", "bill.csv:2: the row has more values than the header"),
    ],
)
def test_a_bill_that_is_wrong_changes_nothing(
    cli: Cli, ledger: str, folder: Path, text: str, problem: str
) -> None:
    (folder / "bill.csv").write_text(text)
    code, _, err = cli("budget", "reconcile", ledger, "--bill", "bill.csv")
    assert code == 3 and problem in err
    assert charged(ledger, "a") == Cost(usd=nano_usd("0.01"), tokens=1_200)


@pytest.mark.parametrize("text, problem", [("{", "not JSON"), ("[1]", "not an object"), ('{"id": 1}', "the id")])
def test_lines_that_are_no_rows_are_told(cli: Cli, ledger: str, folder: Path, text: str, problem: str) -> None:
    (folder / "bill.jsonl").write_text(text)
    code, _, err = cli("budget", "reconcile", ledger, "--bill", "bill.jsonl")
    assert code == 3 and "bill.jsonl:1" in err and problem in err


@pytest.mark.parametrize("arguments", [(), ("a", "--bill", "bill.csv"), ("--usd", "1", "--bill", "bill.csv")])
def test_it_takes_a_hold_or_a_bill(cli: Cli, ledger: str, arguments: tuple[str, ...]) -> None:
    assert cli("budget", "reconcile", ledger, *arguments).code == 2
    assert cli("budget", "reconcile", ledger, "a").code == 3


def test_looking_leaves_the_calls_of_the_dead_held_for_their_bill(cli: Cli, ledger: str) -> None:
    async def die() -> None:
        with Ledger.open(f"sqlite:///{ledger}") as books:
            await books.scope("user-42/day").reserve(Cost(usd=nano_usd("0.1")), id="lost", dispatch=True)
            with sqlite3.connect(ledger) as database:
                database.execute("UPDATE holds SET owner = owner || '?' WHERE id = 'lost'")
                database.execute("INSERT INTO owners SELECT owner, 1, 'long ago' FROM holds WHERE id = 'lost'")
            database.close()

    anyio.run(die)
    assert balances(cli("budget", "show", ledger, "--json").out)["user-42/day"]["held"] == {"usd": "0.1"}
    out = cli("budget", "reconcile", ledger, "lost", "--usd", "0.04").out
    assert out.splitlines()[1].split() == ["lost", "user-42/day", "held", "$0.04"]
    assert charged(ledger, "lost") == Cost(usd=nano_usd("0.04"))


# ---------------------------------------------------------------- plot
def test_a_waterfall_leads_from_the_limit_to_what_is_left(ledger: str) -> None:
    async def spend(books: Ledger) -> None:
        day = books.scope("user-42/day")
        await (await day.reserve(Cost(usd=1), what="tool:search", dispatch=True)).settle(None)
        await day.reserve(Cost(usd=5))
        await (await day.slice({"usd": 9}, "d").reserve(Cost(usd=2), dispatch=True)).settle(None)

    with Ledger.open(f"sqlite:///{ledger}") as books:
        anyio.run(spend, books)
        panels = waterfall(books, "user-42/day")
    assert panels == {
        "usd": [
            Step("limit", "limit", 500_000_000),
            Step("b", "spent", 20_000_000),
            Step("a", "spent", 10_000_000),
            Step("tool:search", "spent", 1),
            Step("held by open calls", "held", 5),
            Step("given to slices", "allotted", 9),
            Step("left", "left", 469_999_985),
        ]
    }


def test_small_spenders_are_added_up_and_an_overrun_is_below_zero(folder: Path) -> None:
    async def spend(books: Ledger) -> None:
        app = books.scope("app", limits={"usd": 100, "tokens": 0})
        for number in range(10):
            hold = await app.reserve(Cost(usd=10), what=f"model:{number}", dispatch=True)
            await hold.settle(None)
        await books.reconcile(hold.id, {"usd": 17, "tokens": 3})

    with Ledger.open("sqlite:///ledger.db") as books:
        anyio.run(spend, books)
        panels = waterfall(books, "app")
    assert panels["usd"][-2:] == [Step("2 others", "spent", 20), Step("over the limit", "over", -7)]
    assert panels["tokens"][1:] == [Step("model:9", "spent", 3), Step("over the limit", "over", -3)]


@pytest.mark.parametrize("suffix, start", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_is_drawn_beside_the_table(
    cli: Cli, ledger: str, folder: Path, suffix: str, start: bytes
) -> None:
    result = cli("budget", "show", ledger, "--scope", "user-42/day", "--plot", f"out.{suffix}")
    assert result.code == 0 and result.out.startswith("scope")
    assert (folder / f"out.{suffix}").read_bytes().startswith(start)


def test_a_picture_is_of_one_scope_with_a_limit(
    cli: Cli, ledger: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = {
        "2 scopes at the top": ("--plot", "out.svg"),
        "only begins the names": ("--scope", "user-42", "--plot", "out.svg"),
        "no limits to start from": ("--scope", "user-42/day/a", "--plot", "out.svg"),
        "ends in .svg or .png": ("--scope", "user-42/day", "--plot", "out.txt"),
    }
    for problem, arguments in cases.items():
        code, _, err = cli("budget", "show", ledger, *arguments)
        assert code == 3 and problem in err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "'plot' extra" in cli("budget", "show", ledger, "--scope", "user-42/day", "--plot", "out.svg").err
    assert not list(folder.glob("out.*"))
