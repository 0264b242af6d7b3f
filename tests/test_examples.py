"""The examples run and print what they promise."""

from __future__ import annotations

import json
import os
import random
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.questions import draw_question, is_correct
from agentkit.evals.suites.order_desk.shop import demo_desk
from tests.backends.server import Reply, running

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DESK = EXAMPLES / "order_desk" / "agentkit.yaml"
LONGEST = 50

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run an example as a script, in a folder without settings, and return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def call(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_every_example_is_short_and_run_here() -> None:
    scripts = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    tests = Path(__file__).read_text()
    assert [name for name in scripts if f'run("{name}"' not in tests] == []
    assert [name for name, text in scripts.items() if len(text.splitlines()) > LONGEST] == []


def test_basic(run: Run) -> None:
    answer, status, *receipts = run("sdk_basic.py").splitlines()
    assert answer == "The Eiffel Tower is 330 metres high."
    assert status == "status complete, $0.001114 of $0.05 spent"
    assert [receipt.split()[0] for receipt in receipts] == [
        "finish:scripted", "model:scripted", "tool:search", "model:scripted",
    ]  # fmt: skip


def test_streaming(run: Run) -> None:
    out = run("streaming.py")
    places = [out.index(part) for part in ('add({"a": 19, "b": 23}) = 42', "The sum is 42.", "complete, $")]
    assert places == sorted(places)
    assert out.count("→ scripted") == 2


def test_typed_output(run: Run) -> None:
    out = run("typed_output.py").splitlines()
    assert out[0] == "complete: Douth Pamack owes 472.85"
    assert out[1].startswith("degraded: 'The customer is Douth Pamack")
    assert len(out) == 3


def test_shared_scope(run: Run) -> None:
    statuses, spent, problems = run("shared_scope.py").splitlines()
    assert sum(int(part.split()[0]) for part in statuses.split(", ")) == 20
    assert 0 < float(spent.split()[0].lstrip("$")) <= 0.001
    assert problems == "problems in the books: []"


def test_quote(run: Run) -> None:
    certain, learnt = run("quote.py").splitlines()
    assert certain.startswith("0 earlier runs") and certain.endswith("to 2000 tokens, never above 2000")
    assert learnt.startswith("100 earlier runs") and learnt.endswith("never above 2000")


def test_allocation(run: Run) -> None:
    *questions, spent, dearest = run("allocation.py").splitlines()
    samples = [int(line.split()[1]) for line in questions]
    assert samples == [2, 4, 6]  # the easy question needs few
    assert f"of $0.003 spent on {sum(samples)} samples; 3 more" in spent
    assert float(dearest.split("$")[1].split(",")[0]) > 0.004


def test_sub_agent(run: Run) -> None:
    answer, *receipts = run("sub_agent.py").splitlines()
    assert answer == "A hold reserves money before a call."
    assert receipts[-2].startswith("  model:large")  # one level below the run that called it
    charges = [float(line.rpartition("$")[2]) for line in receipts]
    assert sum(charges[:-1]) == pytest.approx(charges[-1])


def test_record_replay(run: Run) -> None:
    recorded, replayed, calls = run("record_replay.py").splitlines()
    assert replayed.removeprefix("replayed") == recorded.removeprefix("recorded")
    assert calls == "calls that left: 1"


def test_openai_compatible(run: Run) -> None:
    with running() as provider:
        provider.reply = Reply("Hello.")
        out = run("openai_compatible.py", provider.url, "my-model", "Say hello.")
    assert out == "Hello.\ncomplete: 7 tokens in, 3 out, $0.0000032\n"
    assert provider.requests[0]["model"] == "my-model"
    with pytest.raises(SystemExit, match="python examples/openai_compatible.py http"):
        run("openai_compatible.py")


# ---------------------------------------------------------------- the order desk
def ask(question: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Ask the example's order desk on the command line."""
    command = [sys.executable, "-m", "agentkit", "run", str(DESK), question, "--json", "--quiet"]
    settings = {"PYTHONPATH": str(EXAMPLES.parent), **environment}
    return subprocess.run(command, capture_output=True, env={**os.environ, **settings}, text=True, timeout=60)


def test_the_order_desk_answers_about_the_demonstration_desk(run: Run) -> None:
    question = draw_question(random.Random(1), demo_desk(), "test", "order.status")
    answer = json.loads(ask(question.text).stdout)
    assert answer["status"] == "complete"
    assert is_correct(question, answer["text"])


def test_the_order_desk_works_on_the_shop_that_the_environment_names(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    refused = ask("Hello", AGENTKIT_ORDER_DESK=str(path))
    assert refused.returncode == 3
    assert f"AGENTKIT_ORDER_DESK names {str(path)!r}, which is no file" in refused.stderr
    assert not path.exists()
    desk = Desk.create(99, "test", path=path)
    question = draw_question(random.Random(2), desk, "test", "customer.city")
    desk.close()
    answer = json.loads(ask(question.text, AGENTKIT_ORDER_DESK=str(path)).stdout)
    assert is_correct(question, answer["text"])
