"""The provider as a process, which tests in any language can start."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from agentkit.backends.provider.script_file import read_scripts
from agentkit.errors import ConfigError

COMMAND = (sys.executable, "-m", "agentkit.backends.provider")
SCRIPT = """
small: Hello.
large:
  - calls: [{name: search, arguments: {query: tides}}]
  - {text: At noon., thinking: Let me look.}
"""


@contextmanager
def serving(*options: str | Path) -> Iterator[dict[str, str]]:
    """Run the command; yields its base URLs."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def chat(url: str, model: str) -> dict[str, object]:
    """Return the message that `model` says."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    with urlopen(Request(f"{url}/chat/completions", body), timeout=60) as answer:
        message: dict[str, object] = json.load(answer)["choices"][0]["message"]
    return message


def test_a_script_file_is_served_and_billed(tmp_path: Path) -> None:
    script, bill = tmp_path / "script.yaml", tmp_path / "bill.jsonl"
    script.write_text(SCRIPT)
    with serving(script, "--bill", bill) as urls:
        small, call, last = (chat(urls["openai"], model) for model in ("small", "large", "large"))
    assert small["content"] == "Hello."
    assert json.dumps(call["tool_calls"]).count("search") == 1
    assert (last["content"], last["reasoning_content"]) == ("At noon.", "Let me look.")
    lines = [json.loads(line) for line in bill.read_text().splitlines()]
    assert [line["model"] for line in lines] == ["small", "large", "large"]
    assert all(line["nano_usd"] > 0 for line in lines)


def test_without_a_script_it_repeats_what_it_is_told() -> None:
    with serving() as urls:
        assert chat(urls["openai"], "any")["content"] == "hi"


@pytest.mark.parametrize(
    ("text", "why"),
    [("small: [", "no script"), ("small: {txet: hi}", "txet"), ("- hi", "dict"), ("small: 5", "small")],
)
def test_a_broken_script_says_what_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        read_scripts(script)
    assert str(script) in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scripts(tmp_path / "absent.yaml")


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: port {port} cannot be served: ") and done.stderr.count("\n") == 1


def test_unknown_faults_are_refused() -> None:
    done = subprocess.run([*COMMAND, "--kinds", "earthquake"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "earthquake" in done.stderr
