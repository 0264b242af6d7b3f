"""Runs LLMCompiler's executor in a process of its own, from a checkout of its repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agentkit.evals.benches.base import Options
from agentkit.evals.benches.peers.environment import PeerAbsent

_SOURCE = "https://github.com/SqueezeAILab/LLMCompiler"
_SCRIPT = Path(__file__).parent / "peers" / "dag_llmcompiler.py"
_PATIENCE = 300.0


def chain_ms(steps: int, times: int, options: Options) -> list[float]:
    """Return how long the chain takes, in milliseconds; raises PeerAbsent where the peer cannot be run."""
    checkout = options.peers / "LLMCompiler"
    if not checkout.exists():
        if not options.install:
            raise PeerAbsent(f"LLMCompiler is not in {checkout}")
        options.progress("fetching LLMCompiler")
        _run(["git", "clone", "--quiet", "--depth", "1", _SOURCE, str(checkout)])
    said = _run([sys.executable, "-P", str(_SCRIPT), str(checkout), str(steps), str(times)])
    return [float(value) for value in json.loads(said)]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerAbsent(f"LLMCompiler cannot be run: {error}") from error
    if done.returncode:
        raise PeerAbsent(f"LLMCompiler cannot be run: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    return done.stdout
