"""`agentkit compose`: what a budget buys, without buying it."""

import json
from decimal import Decimal
from pathlib import Path

from tests.backends.server import Provider
from tests.cli.conftest import Cli

TASK = "In which city does the customer of order 7 live?"


def test_with_money_for_everything_everything_is_chosen(cli: Cli, definition: Path, provider: Provider) -> None:
    code, out, _ = cli("compose", definition, TASK)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:4]] == [
        ["✓", "model:main"], ["✓", "tool:find_order"], ["✓", "tool:find_customer"],
    ]  # fmt: skip
    assert provider.requests == []


def test_a_tight_budget_leaves_out_and_says_what_more_would_buy(cli: Cli, definition: Path) -> None:
    selection = json.loads(cli("compose", definition, TASK, "--budget", "usd=1", "--json").out)
    everything = Decimal(selection["cost"]["usd"]) + Decimal(selection["minimum"]["usd"])
    tight = everything - Decimal("0.000001")
    code, out, _ = cli("compose", definition, TASK, "--budget", f"usd={tight}", "--json")
    less = json.loads(out)
    chosen = [component["name"] for component in less["components"] if component["chosen"]]
    assert code == 0
    assert chosen == ["main", "find_customer"]  # the task speaks of a city: find_customer is worth more
    assert all(component["reason"] for component in less["components"])
    assert less["more"] == "$0.000001 more would add find_order"
    text = cli("compose", definition, TASK, "--budget", f"usd={tight}").out
    assert "–  tool:find_order" in text
    assert text.rstrip().endswith("$0.000001 more would add find_order")


def test_an_unknown_price_is_not_shown_as_free(cli: Cli, definition: Path) -> None:
    definition.write_text(definition.read_text().replace(", price: {input: 1, output: 2}", ""))
    row = cli("compose", definition, TASK, "--budget", "tokens=9000").out.splitlines()[1]
    assert row.split()[:4] == ["✓", "model:main", "0.50", "unknown"]


def test_below_the_minimum_there_is_nothing_to_compose(cli: Cli, definition: Path) -> None:
    code, out, err = cli("compose", definition, TASK, "--budget", "usd=0.000001")
    assert (code, out) == (4, "")
    assert err.startswith("infeasible: the least final answer costs $0.0")


def test_by_skills_there_is_one_model_and_a_reason_that_names_the_skill(cli: Cli, definition: Path) -> None:
    task = "Find order 7. Then find the customer Ada."
    found = json.loads(cli("compose", definition, task, "--skills", "--json").out)
    assert [skill["name"] for skill in found["skills"]] == ["Find order 7.", "find the customer Ada."]
    components = {component["name"]: component for component in found["components"]}
    assert components["main"]["chosen"] and components["main"]["covers"] == []
    assert "'Find order 7.'" in components["find_order"]["reason"]
    assert found["value"] <= found["bound"] + 1e-9
    assert "skill 2: find the customer Ada." in cli("compose", definition, task, "--skills").out
    assert json.loads(cli("compose", definition, task, "--json").out)["skills"] == []
