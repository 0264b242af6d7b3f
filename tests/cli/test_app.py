"""The command as a whole: help, version, and what they cost."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentkit
from agentkit.cli.exits import exit_code
from agentkit.errors import (
    AgentkitError,
    BackendTimeout,
    BudgetExceeded,
    LocalModelError,
    MissingSecret,
    NoEligibleModel,
    SpecError,
)
from agentkit.evals.benches import BENCHES
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]


def test_help_names_every_command(cli: Cli) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    for command in (
        "run",
        "compose",
        "validate",
        "schema",
        "init",
        "models",
        "demo",
        "bench",
        "trace",
        "budget",
        "zoo",
    ):
        assert f" {command} " in out


def test_help_is_light() -> None:
    code = (
        "import json, sys\n"
        "from agentkit.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True)
    assert {"torch", "numpy", "httpx", "pydantic"}.isdisjoint(json.loads(done.stdout.splitlines()[-1]))


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version") == (0, f"agentkit {agentkit.__version__}\n", "")


def test_an_unknown_command_is_wrong_usage(cli: Cli) -> None:
    result = cli("rum")
    assert result.code == 2
    assert "Usage: agentkit " in result.err


def test_the_help_of_bench_names_the_benches(cli: Cli) -> None:
    assert set(BENCHES) <= set(re.findall(r"[\w-]+", cli("bench", "--help").out))


def test_an_unknown_bench_is_refused_by_name(cli: Cli) -> None:
    result = cli("bench", "lop")
    assert result.code == 3
    assert "did you mean 'loop'?" in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError("wrong"), 3),
        (MissingSecret("KEY"), 3),
        (BudgetExceeded("s", "usd", 2, 1), 4),
        (BackendTimeout("m", "total", 1.0), 5),
        (NoEligibleModel({}), 1),
        (LocalModelError("wrong"), 1),
    ],
)
def test_errors_have_exit_codes(error: AgentkitError, code: int) -> None:
    assert exit_code(error) == code
