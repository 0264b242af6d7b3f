"""`agentkit models` and `agentkit zoo`: what there is and what it costs."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from agentkit import prices
from agentkit.cli import models
from agentkit.definition import read_definition
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


def test_prices_of_long_prompts_are_shown_below_their_model(cli: Cli) -> None:
    lines = cli("models").out.splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("gpt-5.4 "))
    assert lines[place + 1].split() == ["above", "272,000", "tokens", "5", "0.5", "5", "22.5"]


def test_the_same_as_one_json_object(cli: Cli, folder: Path) -> None:
    (folder / "models.yaml").write_text(MODELS)
    shown = json.loads(cli("models", "models.yaml", "--json").out)["models"]
    assert shown["own"] == {
        "model": "openai:mine",
        "price": dict.fromkeys(("input", "cache_write", "cache_write_1h", "image"), 1.25)
        | {"output": 10, "cache_read": 0.125},
        "tiers": [],
        "price_from": "the definition",
        "price_date": "",
    }
    assert (shown["secret"]["price"], shown["secret"]["price_from"]) == (None, "")
    assert shown["listed"]["price_date"] == prices.date()


def test_at_another_address_the_table_has_no_price(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1")
    (folder / "models.yaml").write_text(MODELS)
    assert rows(cli("models", "models.yaml").out)["listed"] == ["(openai:gpt-4.1-mini)", *["unknown"] * 4]


def test_a_pool_costs_as_its_dearest_endpoint(cli: Cli, folder: Path) -> None:
    pools = "pools:\n  both: {endpoints: [own, listed]}\n  dark: {endpoints: [own, secret]}\nagents:"
    (folder / "models.yaml").write_text(MODELS.replace("agents:", pools))
    shown = json.loads(cli("models", "models.yaml", "--json").out)["models"]
    assert shown["both"]["price"] == shown["own"]["price"]
    assert (shown["both"]["endpoints"], shown["both"]["price_from"]) == (["own", "listed"], "its dearest endpoint")
    assert (shown["dark"]["price"], shown["dark"]["price_from"]) == (None, "")
    assert "both (pool of own, listed)" in cli("models", "models.yaml").out


def test_a_call_costs_what_nobody_knows_without_a_price_and_without_stated_dollars(folder: Path) -> None:
    more = "  stated: {backend: openai, model: nobody-knows, usd_per_call: 0.01}\nagents:"
    pools = "pools:\n  both: {endpoints: [own, listed]}\n  dark: {endpoints: [own, secret]}\nagents:"
    (folder / "models.yaml").write_text(MODELS.replace("agents:", more).replace("agents:", pools))
    assert models.without_price(read_definition("models.yaml").spec) == {"secret", "dark"}


# ---------------------------------------------------------------- whether they answer
@contextmanager
def listing(status: int, body: str, *aliases: str) -> Iterator[tuple[str, list[str]]]:
    """A provider that has nothing but a list of models, and knows some more by name.

    Gives its address and what it was asked.
    """
    asked: list[str] = []

    class Listing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['authorization']}")
            known = self.path in ("/v1/models", *(f"/v1/models/{name}" for name in aliases))
            self.send_response(status if known else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listing)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_provider_is_asked_for_what_is_never_billed(cli: Cli, folder: Path) -> None:
    refusal = '{"error": {"message": "Incorrect API key provided: swordfish-swordfish"}}'
    with listing(200, "") as (gone, _):
        pass  # its port is free again, so nobody answers there
    with listing(200, '{"data": []}') as (good, asked), listing(401, refusal) as (bad, _):
        (folder / "models.yaml").write_text(
            "version: 1\nmodels:\n"
            f"  good: {{backend: openai, model: m, base_url: '{good}', api_key: swordfish-swordfish}}\n"
            f"  bad: {{backend: openai, model: m, base_url: '{bad}', api_key: swordfish-swordfish}}\n"
            f"  gone: {{backend: openai, model: m, base_url: '{gone}'}}\n"
            "  here: {backend: local, zoo: pico}\n"
            "  azure: {backend: azure, model: d, base_url: 'https://x.example', api_key: swordfish-swordfish}\n"
            "pools:\n  some: {endpoints: [good, bad, here, azure]}\nagents:\n  main: {model: some}\nentry: main\n"
        )
        result = cli("models", "models.yaml", "--check")
        shown = json.loads(cli("models", "models.yaml", "--check", "--json").out)["models"]
    assert result.code == 1
    assert rows(result.out)["good"][-3:][1:] == ["ms", "answers"]
    assert asked == ["/v1/models Bearer swordfish-swordfish"] * 4  # the second of a check is timed
    assert "HTTP 401" in shown["bad"]["health"] and "swordfish" not in shown["bad"]["health"]
    assert shown["gone"]["health"].startswith("cannot be reached")
    assert shown["good"]["latency_ms"] > 0
    assert shown["bad"]["latency_ms"] is shown["gone"]["latency_ms"] is None
    assert (shown["azure"]["health"], shown["azure"]["latency_ms"]) == ("not asked", None)
    assert (shown["here"]["health"], shown["here"]["latency_ms"]) == ("on this machine", None)
    assert (shown["some"]["health"], shown["some"]["latency_ms"]) == ("2 of 3 answer", None)


@pytest.mark.parametrize(
    ("backend", "body"),
    [("openai", '{"data": [{"id": "m"}, {}, 7]}'), ("gemini", '{"models": [{"name": "models/m"}]}')],
)
def test_a_model_that_the_provider_does_not_have_fails_the_check(
    cli: Cli, folder: Path, backend: str, body: str
) -> None:
    with listing(200, body, "m-latest") as (url, _):
        model = f"{{backend: {backend}, base_url: '{url}', api_key: swordfish-swordfish, model"
        (folder / "models.yaml").write_text(
            f"version: 1\nmodels:\n  m: {model}: m}}\n  alias: {model}: m-latest}}\n  gone: {model}: m-3}}\n"
            "pools:\n  all: {endpoints: [m, alias, gone]}\nagents:\n  main: {model: m}\nentry: main\n"
        )
        code, out, _ = cli("models", "models.yaml", "--check", "--json")
        (folder / "models.yaml").write_text(
            f"version: 1\nmodels:\n  m: {model}: m}}\nagents:\n  main: {{model: m}}\nentry: main\n"
        )
        assert cli("models", "models.yaml", "--check").code == 0
    health = {name: row["health"] for name, row in json.loads(out)["models"].items()}
    assert health == {
        "m": "answers", "alias": "answers", "gone": "answers, but lists no model m-3", "all": "2 of 3 answer",
    }  # fmt: skip
    assert code == 1


def test_a_provider_that_stalls_is_not_waited_for(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CHECK_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        (folder / "models.yaml").write_text(
            f"version: 1\nmodels:\n  m: {{backend: openai, model: m, base_url: '{url}'}}\n"
            "agents:\n  main: {model: m}\nentry: main\n"
        )
        shown = json.loads(cli("models", "models.yaml", "--check", "--json").out)["models"]
    assert shown["m"]["health"] == "no answer within 0.05 s"


def test_without_a_file_there_is_nobody_to_ask(cli: Cli) -> None:
    assert cli("models", "--check").err == "error: --check asks the models of a definition; name its FILE\n"


# ---------------------------------------------------------------- the user's own table
def test_a_price_list_becomes_the_users_own_table(cli: Cli, folder: Path) -> None:
    models = [
        {"id": "gpt-5", "prices": {"input_mtok": 1, "output_mtok": 9}},
        {"id": "gpt-9", "prices": {"input_mtok": 2, "output_mtok": 20}},
    ]
    (folder / "data.json").write_text(json.dumps([{"id": "openai", "models": models}]))
    result = cli("models", "--refresh", "data.json")
    assert result.code == 0
    assert rows(result.out)["gpt-5"] == ["1", "1", "1", "9", "1.25", "0.125", "1.25", "10"]
    count = len(prices.table())
    assert f"{count} prices, 1 of them new, 1 changed\nwritten to {prices.own_table()}\n" == result.err
    assert rows(cli("models").out)["gpt-9"][:4] == ["2", "2", "2", "20"]


def test_what_is_no_price_list_leaves_the_table_as_it_is(cli: Cli, folder: Path) -> None:
    (folder / "data.json").write_text("[]")
    result = cli("models", "--refresh", "data.json")
    assert result.code == 3
    assert "has no price that is known here" in result.err
    assert not prices.own_table().exists()


def test_the_zoo_is_listed(cli: Cli) -> None:
    shown = rows(cli("zoo", "list").out)
    assert shown["zoo:pico"][:4] == ["0.02", "0.06", "4,096", "0.90"]


def test_what_cannot_be_trained_is_refused(cli: Cli, folder: Path) -> None:
    result = cli("zoo", "train", "giant")
    assert result.code == 3
    assert result.err == "error: the zoo has no recipe 'giant'; it has pico, nano\n"
    assert list(folder.iterdir()) == []
