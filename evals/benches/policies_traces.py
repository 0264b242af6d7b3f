"""Recorded calls, from the Azure LLM inference traces of 2023: arrival, prompt and length of the reply."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentkit.evals.public_data import data_folder

TRACES = ("conv", "code")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call: seconds since the first one of its trace, and tokens of prompt and reply."""

    arrival: float
    prompt: int
    reply: int


def folder() -> Path | None:
    """Return where the traces lie, None where they do not; see `data_folder`."""
    place = data_folder("traces")
    return place if place and all(_path(place, trace).is_file() for trace in TRACES) else None


def recorded_calls(place: Path, trace: str) -> tuple[Recorded, ...]:
    """Read the calls of `trace`, `conv` or `code`, in the order of their arrival."""
    with gzip.open(_path(place, trace), "rt", encoding="utf-8", newline="") as rows:
        calls = [
            (_seconds(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
            for row in csv.DictReader(rows)
        ]
    first = min(calls)[0]
    return tuple(Recorded(arrival - first, prompt, reply) for arrival, prompt, reply in sorted(calls))


def _path(place: Path, trace: str) -> Path:
    return place / f"azure_llm_2023_{trace}.csv.gz"


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp[:26]).timestamp()  # the seventh decimal is more than a datetime holds
