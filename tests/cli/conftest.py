"""The command line as a user has it: arguments in; exit code, stdout and stderr out; a provider on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agentkit.cli import main
from tests.backends.server import Provider, Reply, running

DEFINITION = """
version: 1
models:
  main: {{backend: openai, model: test-model, base_url: "{url}", price: {{input: 1, output: 2}}}}
tools:
  find_order: {{python: "shop:find_order"}}
  find_customer: {{python: "shop:find_customer"}}
budgets:
  small: {{usd: 0.05, seconds: 30}}
agents:
  desk: {{model: main, budget: small, tools: [find_order, find_customer]}}
entry: desk
"""
SHOP = '''
def find_order(order_id: int) -> str:
    """Look up an order."""
    return f"order {order_id} is packed"


def find_customer(name: str) -> str:
    """Look up the city of a customer."""
    return f"{name} lives in Culville"
'''


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("AGENTKIT_LEDGER", "AGENTKIT_TRACE_DIR", "AGENTKIT_DEFAULT_BUDGET", "AGENTKIT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        assert isinstance(exit.value.code, int)
        return Result(exit.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """A provider that bills 7 tokens in and 3 out: $0.000013 at the prices of `definition`."""
    running_provider.reply = Reply("Paris.")
    running_provider.requests.clear()
    return running_provider


@pytest.fixture
def definition(folder: Path, provider: Provider) -> Path:
    """An agent of the provider's model, two tools and a budget of five cents."""
    return define(folder, provider.url)


def define(folder: Path, url: str) -> Path:
    """Write the definition of an agent whose model is at `url`."""
    (folder / "shop.py").write_text(SHOP)
    path = folder / "agentkit.yaml"
    path.write_text(DEFINITION.format(url=url))
    return path
