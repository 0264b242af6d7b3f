"""The environments of the peers, and the processes in them that run the scripts beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

import agentkit
from agentkit.errors import AgentkitError
from agentkit.evals.benches.base import Options

PEERS: Mapping[str, str] = {
    "agno": "agno==3.1.10",
    "inspect": "inspect-ai==0.3.285",
    "langchain": "langchain==1.4.7",
    "litellm": "litellm==1.106.2",
    "openai": "openai==3.52.0",
    "openai_agents": "openai-agents==0.24.0",
    "pydantic_ai": "pydantic-ai-slim==2.68.0",
    "smolagents": "smolagents==1.26.0",
}
"""What is installed for each peer."""

_HERE = Path(__file__).parent
_PATIENCE = 600.0


class PeerAbsent(AgentkitError):
    """A peer cannot be installed or does not run here; the bench goes on without it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU time of one run in milliseconds, and what the last run returned."""

    cpu_ms: float
    result: Any


class Worker:
    """A process that runs one script as often as it is told."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process, self._name = process, name

    def measure(self, count: int, *arguments: int) -> Measured:
        """Run the script `count` times; raises PeerAbsent when its process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([count, *arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise PeerAbsent(f"the script of {self._name} ended with code {code}; run it by hand to see why")
        return Measured(**json.loads(line))


@contextmanager
def worker(script: Literal["backends", "fanout", "loop"], name: str, options: Options) -> Iterator[Worker]:
    """Start the script of `name`, a peer, `agentkit` or `bare`; raises PeerAbsent where it cannot be installed."""
    python = sys.executable
    # a user's settings are not measured
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AGENTKIT_")}
    environment["PYTHONPATH"] = str(Path(agentkit.__file__).parent.parent)
    if name in PEERS:
        python = str(interpreter(name, options))
        del environment["PYTHONPATH"]
    command = [python, "-P", str(_HERE / "worker.py"), str(_HERE / f"{script}_{name}.py")]
    with subprocess.Popen(
        command,
        env=environment,
        cwd=gettempdir(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield Worker(process, name)


def interpreter(name: str, options: Options) -> Path:
    """Return the Python of a peer's environment, made on demand; raises PeerAbsent where it cannot be made."""
    folder = options.peers / PEERS[name].replace("==", "-")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"  # written last: an interrupted installation is done again
    if done.exists():
        return python
    if not options.install:
        raise PeerAbsent(f"{name} is not installed in {folder}")
    options.progress(f"installing {PEERS[name]}")
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEERS[name]]
    installed = subprocess.run(pip, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if installed.returncode:
        reason = (installed.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PeerAbsent(f"{PEERS[name]} cannot be installed: {reason}")
    done.touch()
    return python
