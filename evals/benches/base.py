"""What every bench takes and gives: options, a result of flat keys, and where it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError

BENCHES: Mapping[str, str] = {
    "anytime": "agentkit.evals.benches.anytime",
    "backends": "agentkit.evals.benches.backends",
    "best-of": "agentkit.evals.benches.best_of",
    "compose": "agentkit.evals.benches.compose",
    "dag": "agentkit.evals.benches.dag",
    "intercode": "agentkit.evals.benches.intercode",
    "latm": "agentkit.evals.benches.latm",
    "ledger": "agentkit.evals.benches.ledger",
    "loop": "agentkit.evals.benches.loop",
    "order-desk": "agentkit.evals.benches.order_desk",
    "overspend": "agentkit.evals.benches.overspend",
    "policies": "agentkit.evals.benches.policies",
    "quote": "agentkit.evals.benches.quote",
    "resilience": "agentkit.evals.benches.resilience",
    "route-live": "agentkit.evals.benches.route_live",
    "router": "agentkit.evals.benches.router",
    "routing": "agentkit.evals.benches.routing",
    "rules": "agentkit.evals.benches.rules",
    "signals": "agentkit.evals.benches.signals",
    "startup": "agentkit.evals.benches.startup",
    "stream-budget": "agentkit.evals.benches.stream_budget",
    "streams": "agentkit.evals.benches.streams",
    "tool-retrieval": "agentkit.evals.benches.tool_retrieval",
}
"""The module of each bench; it has `run(options) -> BenchResult`."""

_PACKAGES = ("agentkit-budget", "anyio", "httpx", "pydantic", "pyyaml", "rich", "typer")


def _peers_folder() -> Path:
    return Path(os.environ.get("AGENTKIT_PEERS") or Path.home() / ".cache" / "agentkit-peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a bench is run; None leaves a size to the bench.

    `quick` is a small run that tests the bench rather than agentkit. `peers` is the folder of the peers'
    environments (AGENTKIT_PEERS, else a cache folder of the user); with `install` absent ones are created.
    `progress` takes lines for people.
    """

    quick: bool = False
    seeds: int | None = None
    repeats: int | None = None
    peers: Path = field(default_factory=_peers_folder)
    install: bool = True
    progress: Callable[[str], None] = lambda line: None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a bench measured: flat keys with their units, 95 % intervals, the peers, and the machine."""

    bench: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=lambda: environment())

    def to_json(self) -> dict[str, Any]:
        """Return the object that `agentkit bench NAME --json` prints."""
        return asdict(self)


Bench = Callable[[Options], BenchResult]


def load(name: str) -> Bench:
    """Return the bench `name`; raises ConfigError for one that does not exist."""
    if name not in BENCHES:
        close = get_close_matches(name, BENCHES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(BENCHES))}"
        raise ConfigError(f"there is no bench {name!r}; {hint}")
    bench: Bench = import_module(BENCHES[name]).run
    return bench


def environment(**more: Any) -> dict[str, Any]:
    """Return where a bench ran: interpreter, machine and versions, and what `more` it has to say."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "load_1min": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        **more,
    }


@cache
def cpu_model() -> str:
    """Return the name of the processor as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
