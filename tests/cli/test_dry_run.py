"""`agentkit run --dry-run`: what a run will cost, without one."""

import json
from pathlib import Path

import pytest

from tests.backends.server import Provider
from tests.cli.conftest import Cli

TASK = "What is the capital of France?"


def test_a_dry_run_says_what_is_certain_and_sends_nothing(cli: Cli, definition: Path, provider: Provider) -> None:
    code, out, err = cli("run", definition, TASK, "--dry-run")
    rows = {line.split("  ")[0]: line.split()[1:] for line in out.splitlines()}
    assert (code, err) == (0, "")
    assert rows["usd"][1:] == [rows["usd"][0], "$0.05", "$0.05", "$0.05"]
    assert "gpu_us" not in rows
    assert rows["requests"] == ["1", "1", *["no", "bound"] * 3]
    assert out.splitlines()[-1].startswith("no earlier runs are known")
    assert provider.requests == []


def test_earlier_runs_in_the_trace_folder_narrow_it(
    cli: Cli, definition: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTKIT_TRACE_DIR", str(folder / "traces"))
    cli("run", definition, TASK)
    assert "from 1 earlier runs, too few" in cli("run", definition, TASK, "--dry-run").out
    for _ in range(9):
        cli("run", definition, TASK)
    code, out, _ = cli("run", definition, TASK, "--dry-run", "--json")
    quote = json.loads(out)
    assert (code, quote["runs"], quote["feasible"]) == (0, 10, True)
    assert quote["p10"]["usd"] == quote["p90"]["usd"] == "0.000013"
    assert (quote["p90"]["tokens"], quote["maximum"]["usd"]) == (10, "0.05")
    assert "tokens" not in quote["maximum"]


def test_a_budget_below_the_minimum_is_refused(cli: Cli, definition: Path, provider: Provider) -> None:
    code, out, _ = cli("run", definition, TASK, "--dry-run", "--budget", "usd=0.000001")
    assert code == 4
    assert out.splitlines()[-1].startswith("infeasible: the budget is below the minimum")
    assert provider.requests == []


PLAN = """budget: small
    tools: [find_order, find_customer]
    planner:
      fixed:
        steps:
          - {id: order, tool: find_order, arguments: {order_id: 7}, retries: 2}
          - {id: who, tool: find_customer, arguments: {name: {$from: order}}}
"""


def _planned(definition: Path, plan: str) -> None:
    inline = "{model: main, budget: small, tools: [find_order, find_customer]}"
    text = definition.read_text()
    assert inline in text
    definition.write_text(text.replace(inline, "\n    model: main\n    " + plan.strip()))


def test_a_plan_is_run_on_stand_ins_and_priced(cli: Cli, definition: Path, provider: Provider) -> None:
    _planned(definition, PLAN)
    code, out, err = cli("run", definition, TASK, "--dry-run")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert (code, err, provider.requests) == (0, "", [])
    assert rows["order"] == ["find_order", "$0.00", "3", "yes"]
    assert rows["all"] == ["$0.00", "4", "2"]
    quote = json.loads(cli("run", definition, TASK, "--dry-run", "--json").out)
    assert quote["plan"]["critical_path"] == ["order", "who"] and quote["problems"] == []
    assert quote["plan"]["calls"]["tool_calls"] == 2


def test_a_plan_that_cannot_run_says_why_and_fails(cli: Cli, definition: Path, provider: Provider) -> None:
    _planned(definition, PLAN.replace("order_id: 7", "order_id: seven"))
    code, _, err = cli("run", definition, TASK, "--dry-run")
    assert code == 1 and err.startswith(
        "cannot run: step 'order': arguments of 'find_order' are wrong: 'order_id'"
    )
    assert provider.requests == []
