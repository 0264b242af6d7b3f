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


def test_fake_provider(run: Run) -> None:
    assert run("fake_provider.py").splitlines() == [
        "High tide is at noon.",
        "requests that came in: 2, on the bill: 1",
        "the bill is what was spent: True",
    ]


def test_tool_search(run: Run) -> None:
    answer, offered = run("tool_search.py").splitlines()
    assert answer == "Order 7 was shipped on Monday."
    assert offered == "4 of 61 tools were offered, get_order among them: True"


def test_assisted_search(run: Run) -> None:
    assert run("assisted_search.py").splitlines() == [
        "Ten dollars are about nine euros.",
        "offered: fx, calculate",
        "calls of the search: 3 of all: 4",
    ]


def test_hand_off(run: Run) -> None:
    answer, *conversation = run("hand_off.py").splitlines()
    assert answer == "Invoice 7 was paid on Monday."
    assert [line.split()[0] for line in conversation] == ["user", *["assistant", "tool"] * 2, "assistant"]


def test_fitted_router(run: Run) -> None:
    assert run("fitted_router.py").splitlines() == [
        "Find the sum of 3 and 4. says cheap",
        "Give a proof of lemma 7. says good",
    ]


def test_cascade_routing(run: Run) -> None:
    right, _, total, *_, spent = run("cascade_routing.py").split()
    assert int(right) > 0.85 * int(total) and float(spent.removeprefix("$")) < 0.008


def test_preferences(run: Run) -> None:
    *preferred, fastest = run("preferences.py").splitlines()
    assert [line.split()[-1] for line in preferred] == ["good", "quick", "quick"]
    assert int(fastest.split()[0]) >= 9


def test_newcomer(run: Run) -> None:
    early, late, balance = run("newcomer.py").splitlines()
    assert int(early.split()[0]) <= 8 < 16 <= int(late.split()[0])
    assert float(balance.split()[1]) > 0


def test_multi_round(run: Run) -> None:
    *routes, text, sums = run("multi_round.py").splitlines()
    assert routes[1] == "historian: round 1 of 3: When did the Harbour Bridge open?"
    assert routes[-1] == "stop: answered after 2 rounds"
    assert (text, sums) == (
        "The bridge is 94 years old.",
        "5 calls, $0.000835, the bill is $0.000835",
    )


def test_panels(run: Run) -> None:
    again, across, merged, judged = run("panels.py").splitlines()
    assert again == "408 (2 calls, $0.00003)" and across.startswith("408 (3 calls")
    assert merged == "17 * 24 = 408: the first is right. (3 calls, $0.000099)"
    assert judged == "408 (4 calls, $0.000624)"  # the answer, and three votes on it


def test_learning(run: Run) -> None:
    assert run("learning.py").splitlines() == [
        "first cheap, after 3 runs good",
        "learnt of cheap, good; artefact.save(…) keeps it",
    ]


def test_compose(run: Run) -> None:
    almanac, station, spent = run("compose.py").splitlines()
    assert almanac == "tool:almanac: adds nothing to what is chosen"
    assert station.startswith("tool:station: covers 'the temperature of a place' 0.92 for $2")
    assert spent == "$0.000228 spent on trials, $2 for what is chosen"


def test_prompt_cache(run: Run) -> None:
    assert run("prompt_cache.py") == "without the cache $0.046395, with it $0.01562295: 66% saved\n"


def test_shared_budget(run: Run) -> None:
    first, second = run("shared_budget.py").splitlines()
    assert first.startswith("complete: 20 reports, 720 words, ")
    assert second.endswith("calls with output caps from 33 to 500 tokens")


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


def test_budget_aware(run: Run) -> None:
    pivot, answer = run("budget_aware.py").splitlines()
    assert pivot.startswith("pivot; a summary replaces")
    assert answer == "complete: The Sydney Harbour Bridge. $0.002905, 6 model calls"


def test_parallel_plan(run: Run) -> None:
    *events, answer = run("parallel_plan.py").splitlines()
    assert answer == "In Culville, $94.14, by Flouth Cargo. (2 model calls, 4 tool calls, $0.0006)"
    order, who, whole = "> order-1", '> who-3 find_customer{"name": "Douth Pamack"}', "the plan is whole: 4 steps"
    assert events[0].startswith(order) and order not in events[1:] and len(events) == 9
    assert events.index(who) < len(events) - 1 and events.index(whole) > 0


def test_sub_agent(run: Run) -> None:
    answer, *receipts = run("sub_agent.py").splitlines()
    assert answer == "A hold reserves money before a call."
    assert receipts[-2].startswith("  model:large")  # one level below the run that called it
    charges = [float(line.rpartition("$")[2]) for line in receipts]
    assert sum(charges[:-1]) == pytest.approx(charges[-1])


def test_resilience(run: Run) -> None:
    assert run("resilience.py").splitlines() == [
        "Hello from the west.",
        "  model 'east': too many calls (HTTP 429); again at another endpoint",
        "  model:east $0",
        "  model:west $0.000034",
        "I have read all of it.",
        "  everyday: context; this is the fallback",
        "  model:west $0",
        "  model:long $0.00014",
    ]


def test_record_replay(run: Run) -> None:
    recorded, replayed, calls = run("record_replay.py").splitlines()
    assert replayed.removeprefix("replayed") == recorded.removeprefix("recorded")
    assert calls == "calls that left: 1"


def test_response_cache(run: Run) -> None:
    paid, free, calls = run("response_cache.py").splitlines()
    assert paid.startswith("The Eiffel Tower is 330 metres high. (from the model, $0.0000")
    assert free == "The Eiffel Tower is 330 metres high. (from the cache, $0)"
    assert calls == "calls that left: 1"


def test_otel_spans(run: Run) -> None:
    whole, first, search, last, answer = run("otel_spans.py").splitlines()
    costs = [float(line.rpartition("$")[2]) for line in (first, search, last)]
    assert whole.startswith("invoke_agent guide: $") and search == "execute_tool search: $0.001000"
    assert float(whole.rpartition("$")[2]) == pytest.approx(sum(costs), abs=1e-6)
    assert answer.startswith("answer: It is 330 metres high. $0.00")


def test_openai_compatible(run: Run) -> None:
    with running() as provider:
        provider.reply = Reply("Hello.")
        out = run("openai_compatible.py", provider.url, "my-model", "Say hello.")
    assert out == "Hello.\ncomplete: 7 tokens in, 3 out, $0.0000032\n"
    assert provider.requests[0]["model"] == "my-model"
    with pytest.raises(SystemExit, match="python examples/openai_compatible.py http"):
        run("openai_compatible.py")


def test_pictures(run: Run) -> None:
    seen = "70 bytes of image/png and https://example.org/tide.png"
    names = ("openai", "openai-responses", "anthropic", "gemini")
    assert run("pictures.py").splitlines() == [f"{name}: {seen}" for name in names]


def test_providers(run: Run) -> None:
    *answers, sums = run("providers.py").splitlines()
    assert [answer.split(": ")[0] for answer in answers] == ["openai", "openai-responses", "anthropic", "gemini"]
    assert all("High tide is at noon." in answer for answer in answers)
    charged, billed = sums.removeprefix("charged ").split(", billed ")
    assert charged == billed != "$0"


def test_mcp_tools(run: Run) -> None:
    assert run("mcp_tools.py").splitlines() == [
        "double, shout",
        "It is 42.",
        "tool:double $0.001",
    ]


def test_policies(run: Run) -> None:
    denied, sent = run("policies.py").splitlines()
    assert sent == "sent to ann@corp.example"
    assert denied.endswith("the wish of whoever wrote what read_page gave back: the user did not name to")


@pytest.mark.skipif(sys.platform != "linux", reason="its last line is about a sandbox of Linux")
def test_safe_tools(run: Run) -> None:
    lines = run("safe_tools.py").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "read_file", "read_file", "query", "query", "fetch", "run_python", "run_python",
    ]  # fmt: skip
    assert [word in line for word, line in zip(
        ("Order anvils.", "must not go up", "anvil", "only one SELECT", "not public", "42", "exit code"), lines,
        strict=True,
    )] == [True] * 7  # fmt: skip


def test_embeddings(run: Run) -> None:
    assert run("embeddings.py").splitlines() == ["nearest: high tide at noon", "2 calls, $0.0000004"]


def test_tool_making(run: Run) -> None:
    lines = run("tool_making.py").splitlines()
    assert [line.split()[0] for line in lines] == ["?", "?", "elbram", "nedrag", "rohcna", "teksab"]
    assert "no tool; 2 direct answers for $0.001618" in lines[1]
    assert lines[-1].endswith("backwards: made for $0.000322; has paid after 1 uses, of which 4 are done")


def test_dry_run(run: Run) -> None:
    assert run("dry_run.py").splitlines() == [
        "order $0.006, ship $0.01, at most $0.016: order > ship",
        "step 'ship': the result of 'order' has nothing at client; it has customer, pieces",
        "step 'ship': with what 'order' gives, arguments of 'ship' are wrong: 'pieces': "
        "input should be a valid integer",
    ]


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
