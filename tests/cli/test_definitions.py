"""`agentkit validate`, `schema` and `init`."""

import json
import re
from pathlib import Path

from agentkit.evals.suites.order_desk.shop import demo_desk
from agentkit.schema import json_schema
from tests.cli.conftest import Cli


def test_a_valid_file_is_summed_up(cli: Cli, definition: Path) -> None:
    result = cli("validate", definition)
    assert result == (0, f"{definition}: valid; 1 agent, 1 model, 2 tools; entry desk\n", "")


def test_an_error_has_file_line_and_column(cli: Cli, definition: Path) -> None:
    text = definition.read_text().replace("model: main, budget", "modle: main, budget")
    definition.write_text(text)
    line = 1 + text[: text.index("modle")].count("\n")
    column = len(text[: text.index("modle")].rpartition("\n")[2]) + 1
    code, out, err = cli("validate", definition)
    assert (code, out) == (3, "")
    assert err.startswith(f"error: {definition}:{line}:{column}: unknown key 'modle'")
    assert "did you mean 'model'?" in err


def test_validation_imports_nothing(cli: Cli, definition: Path, folder: Path) -> None:
    (folder / "shop.py").write_text("raise RuntimeError")
    assert cli("validate", definition).code == 0


def test_the_schema_is_that_of_the_loader(cli: Cli) -> None:
    assert json.loads(cli("schema").out) == json.loads(json.dumps(json_schema()))


def test_init_writes_what_validates(cli: Cli, folder: Path) -> None:
    result = cli("init", "new/agent")
    assert result.out.split() == ["new/agent/agentkit.yaml", "new/agent/agentkit.schema.json"]
    assert json.loads((folder / "new/agent/agentkit.schema.json").read_text()) == json.loads(cli("schema").out)
    first = (folder / "new/agent/agentkit.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./agentkit.schema.json"
    assert cli("validate", "new/agent/agentkit.yaml").code == 0


def test_what_init_writes_answers_the_question_it_suggests(cli: Cli, folder: Path) -> None:
    cli("init")
    (question,) = re.findall(r'agentkit run agentkit.yaml "(.+)"', (folder / "agentkit.yaml").read_text())
    order = demo_desk().order(int(re.findall(r"\d+", question)[0]))
    assert order
    result = cli("run", "agentkit.yaml", question)
    assert result.code == 0
    assert result.out.startswith(f"The status is {order['status']}.\n")


def test_init_overwrites_nothing(cli: Cli, folder: Path) -> None:
    (folder / "agentkit.schema.json").write_text("mine")
    result = cli("init")
    assert result.code == 3
    assert "agentkit.schema.json exists" in result.err
    assert [path.name for path in folder.iterdir()] == ["agentkit.schema.json"]
    assert (folder / "agentkit.schema.json").read_text() == "mine"
