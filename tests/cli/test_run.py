"""`agentkit run`: what it prints where, and its exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from agentkit.budgets import Ledger, replay
from tests.backends.server import Provider, Reply
from tests.cli.conftest import Cli, define

ROOT = Path(__file__).resolve().parents[2]


def test_the_answer_and_the_receipt_are_data_and_the_rest_is_progress(cli: Cli, definition: Path) -> None:
    code, out, err = cli("run", definition, "What is the capital of France?")
    assert code == 0
    answer, receipts = out.split("\n\n", 1)
    assert answer == "Paris."
    (call,) = [line.split() for line in receipts.splitlines() if line.startswith("model:main")]
    assert call[2:] == ["$0.000013", "7", "3", "settled"]
    (total,) = [line.split() for line in receipts.splitlines() if line.startswith("total")]
    assert total == ["total", "$0.000013", "7", "3"]
    assert "limited by the agent's budget" in receipts
    assert err.startswith("route  main: the cheapest that fits  [$0.05 · 30 seconds left]")


def test_tool_calls_and_what_is_left_are_shown(cli: Cli, definition: Path, provider: Provider) -> None:
    provider.reply = Reply(calls=(("c1", "find_order", '{"order_id": 7}'),))
    result = cli("run", definition, "Order 7?", "--budget", "usd=0.01,tool_calls=1")
    lines = result.err.splitlines()
    assert "tool   find_order gave order 7 is packed  [$0.009987 · 0 tool calls left]" in lines
    assert [line for line in lines if "stop" in line] == []
    assert result.code == 0
    assert "exhausted: " in result.out
    assert max(map(len, lines)) > 80


def test_quiet_is_quiet(cli: Cli, definition: Path) -> None:
    result = cli("run", definition, "What is the capital of France?", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Paris.")


def test_json_is_one_object_that_adds_up(cli: Cli, definition: Path) -> None:
    code, out, _ = cli("run", definition, "What is the capital of France?", "--json", "--budget", "usd=0.02")
    answer = json.loads(out)
    assert code == 0
    assert answer.keys() == {
        "output", "text", "status", "stop_reason", "unmet", "spent", "receipts", "budget_origin", "run",
    }  # fmt: skip
    assert (answer["output"], answer["status"], answer["unmet"]) == ("Paris.", "complete", [])
    assert answer["spent"] == {
        "usd": "0.000013", "tokens": 10, "input_tokens": 7, "output_tokens": 3, "requests": 1,
    }  # fmt: skip
    charged = sum(Decimal(receipt["charged"].get("usd", "0")) for receipt in answer["receipts"])
    assert charged == Decimal(answer["spent"]["usd"])
    assert answer["budget_origin"] == "the budget argument"
    assert answer["run"].startswith("run-")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_budget_below_the_minimum_is_refused_and_nothing_is_sent(
    cli: Cli, definition: Path, provider: Provider, flags: tuple[str, ...]
) -> None:
    code, out, err = cli("run", definition, "Hello", "--budget", "usd=0.00001", *flags)
    assert code == 4
    assert provider.requests == []
    if flags:
        answer = json.loads(out)
        assert (answer["status"], answer["output"], answer["spent"]) == ("infeasible", None, {})
    else:
        assert out == ""
        assert err.startswith("infeasible: ")


def test_the_trace_is_appended(cli: Cli, definition: Path, folder: Path) -> None:
    for _ in range(2):
        cli("run", definition, "What is the capital of France?", "--trace", "traces/all.jsonl")
    events = [json.loads(line) for line in (folder / "traces/all.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events if event["seq"] == 0] == ["run", "run"]
    assert [event["text"] for event in events if event["kind"] == "answer"] == ["Paris.", "Paris."]
    assert len({event["run"] for event in events}) == 2


def without_price(definition: Path) -> Path:
    """Take the price out of a definition."""
    definition.write_text(definition.read_text().replace(", price: {input: 1, output: 2}", ""))
    return definition


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_dollars_of_a_model_without_a_price_are_unknown_and_not_zero(
    cli: Cli, definition: Path, flags: tuple[str, ...]
) -> None:
    result = cli("run", without_price(definition), "Capital?", "--budget", "tokens=9000", "--quiet", *flags)
    assert result.code == 0
    if flags:
        answer = json.loads(result.out)
        assert answer["spent"] == {
            "tokens": 10, "input_tokens": 7, "output_tokens": 3, "requests": 1, "usd": None,
        }  # fmt: skip
        (charged,) = [receipt["charged"] for receipt in answer["receipts"] if receipt["charged"]]
        assert charged == answer["spent"]
    else:
        rows = [line.split() for line in result.out.splitlines()]
        assert ["model:main", "unknown", "unknown", "7", "3", "settled"] in rows
        assert ["total", "unknown", "7", "3"] in rows


def test_a_total_says_what_of_it_is_known(cli: Cli, definition: Path, provider: Provider) -> None:
    provider.reply = Reply(calls=(("c1", "find_order", '{"order_id": 7}'),))
    text = without_price(definition).read_text()
    tool = '{python: "shop:find_order", cost: {usd: 0.01}}'
    definition.write_text(text.replace('{python: "shop:find_order"}', tool))
    result = cli("run", definition, "Order 7?", "--budget", "tokens=9000,tool_calls=1", "--quiet")
    assert "$0.01 + unknown" in next(line for line in result.out.splitlines() if line.startswith("total"))


# ---------------------------------------------------------------- what goes wrong
def test_a_missing_definition_is_invalid(cli: Cli) -> None:
    code, out, err = cli("run", "nowhere.yaml", "Hello")
    assert (code, out) == (3, "")
    assert err == "error: nowhere.yaml:1:1: there is no file 'nowhere.yaml'\n"


def test_a_wrong_budget_is_wrong_usage(cli: Cli, definition: Path) -> None:
    code, out, err = cli("run", definition, "Hello", "--budget", "usb=1")
    assert (code, out) == (2, "")
    assert "'usd'" in err


def test_a_missing_argument_is_wrong_usage(cli: Cli, definition: Path) -> None:
    assert cli("run", definition).code == 2


@pytest.mark.parametrize("priced", [True, False])
def test_a_provider_that_is_away_is_unavailable(cli: Cli, folder: Path, priced: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = define(folder, f"http://127.0.0.1:{port}/v1")
    path = path if priced else without_price(path)
    code, out, err = cli("run", path, "Hello", "--quiet", "--budget", "tokens=9000")
    assert (code, out.splitlines()[-1].split()) == (5, ["total", "$0.00", "0", "0"])  # it was never reached
    assert err.startswith("error: model 'main': ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_run_that_failed_shows_what_it_was_charged(
    cli: Cli, definition: Path, provider: Provider, flags: tuple[str, ...]
) -> None:
    provider.reply = Reply(page="<html>Sign in to the hotel's network</html>")
    code, out, err = cli("run", definition, "Hello", "--quiet", *flags)
    assert code == 5
    assert err.startswith("error: model 'main': ") and err.count("\n") == 1
    if flags:
        failure = json.loads(out)
        assert failure.keys() == {"error", "kind", "charged", "receipts"}
        assert (failure["error"], failure["kind"]) == (err.removeprefix("error: ").rstrip(), "BadResponse")
        amounts = [Decimal(receipt["charged"].get("usd", "0")) for receipt in failure["receipts"]]
        assert sum(amounts) == Decimal(failure["charged"]["usd"]) > 0
    else:
        assert "charged in full: no usage record" in out
        total = Decimal(out.splitlines()[-1].split()[1].removeprefix("$"))
        held = next(line.split()[1] for line in out.splitlines() if line.startswith("model:main"))
        assert total >= Decimal(held.removeprefix("$")) > 0


def test_a_ledger_that_cannot_be_used_is_refused(
    cli: Cli, definition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTKIT_LEDGER", "sqlite:///no/such/folder/ledger.db")
    code, _, err = cli("run", definition, "Hello")
    assert code == 4
    assert err.startswith("error: ledger ")


def test_what_nobody_expected_is_short_and_says_how_to_see_more(
    cli: Cli, definition: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.py").write_text("raise ZeroDivisionError('by\\nzero')")
    definition.write_text(definition.read_text().replace("shop:find_order", "broken:tool"))
    code, _, err = cli("run", definition, "Hello")
    assert code == 1
    assert err == "error: unexpected ZeroDivisionError: by zero; set AGENTKIT_DEBUG=1 for the traceback\n"
    monkeypatch.setenv("AGENTKIT_DEBUG", "1")
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    code, _, err = cli("run", definition, "Hello")
    assert code == 1
    assert "Traceback (most recent call last)" in err


def test_an_interrupt_leaves_nothing_held_and_the_trace_whole(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the request and never answers
        path = define(folder, f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        command = [sys.executable, "-m", "agentkit", "run", str(path), "Hello", "--trace", "trace.jsonl"]
        environment = {**os.environ, "AGENTKIT_LEDGER": "sqlite:///ledger.db", "PYTHONPATH": str(ROOT)}
        # a shell makes what it runs in the background deaf to interrupts, and children inherit that
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
            signal.signal(signal.SIGINT, inherited)
            _wait_for(folder / "trace.jsonl", '"dispatched": true')
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    events = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    # sent, perhaps billed; the finish line given back; interrupted
    assert [event["kind"] for event in events[-3:]] == ["charge", "void", "error"]
    with Ledger.open("sqlite:///ledger.db") as ledger:
        assert anyio.run(ledger.verify) == []
        (balance,) = replay(ledger.events()).values()
    assert not +balance.held
    assert balance.spent["usd"] == events[-3]["charged"]["usd"] > 0


def _wait_for(file: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (file.exists() and text in file.read_text()):
        assert time.monotonic() < deadline, f"{text} never came"
        time.sleep(0.05)
