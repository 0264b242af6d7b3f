"""`agentkit models` and `agentkit zoo`: what there is and what it costs."""

from pathlib import Path

from agentkit import prices
from tests.cli.conftest import Cli

MODELS = """
version: 1
models:
  own: {backend: openai, model: mine, price: {input: 1.25, output: 10, cache_read: 0.125}}
  listed: {backend: openai, model: gpt-4.1-mini}
  secret: {backend: openai, model: nobody-knows, api_key: "${env:KEY:-none}"}
  small: {backend: local, zoo: pico, price: {input: 3, output: 4}}
agents:
  main: {model: own}
entry: main
"""


def rows(out: str) -> dict[str, list[str]]:
    """Return the cells of each row by the name of its model."""
    cells = (line.split() for line in out.splitlines() if line)
    return {name: rest for name, *rest in cells}


def test_each_configured_model_has_its_price_and_where_it_is_from(cli: Cli, folder: Path) -> None:
    (folder / "models.yaml").write_text(MODELS)
    result = cli("models", "models.yaml")
    shown = rows(result.out)
    assert result.code == 0
    assert shown["own"] == ["(openai:mine)", "1.25", "0.125", "1.25", "10", "the", "definition"]
    assert shown["listed"][1:5] == ["0.4", "0.1", "0.4", "1.6"]
    assert shown["listed"][-1] == prices.date()
    assert shown["secret"] == ["(openai:nobody-knows)", *["unknown"] * 4]
    assert shown["small"] == ["(zoo:pico)", "3", "3", "3", "4", "the", "definition"]


def test_without_a_file_the_zoo_and_the_price_table_are_shown(cli: Cli) -> None:
    shown = rows(cli("models").out)
    assert {"zoo:pico", "zoo:nano", *prices.table()} <= shown.keys()
    assert shown["gpt-4.1-nano"][-4:] == ["the", "table", "of", prices.date()]


def test_the_zoo_is_listed(cli: Cli) -> None:
    shown = rows(cli("zoo", "list").out)
    assert shown["zoo:pico"][:4] == ["0.02", "0.06", "4,096", "0.90"]


def test_what_cannot_be_trained_is_refused(cli: Cli, folder: Path) -> None:
    result = cli("zoo", "train", "giant")
    assert result.code == 3
    assert result.err == "error: the zoo has no recipe 'giant'; it has pico, nano\n"
    assert list(folder.iterdir()) == []
