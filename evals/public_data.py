"""Where the public data sets lie that benches and tests read; they are no part of the package."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError


def data_folder(name: str) -> Path | None:
    """Return the folder of the set `name`: in AGENTKIT_DATA, else beside the checkout; None where it is not."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
    place = Path(os.environ.get("AGENTKIT_DATA") or beside).resolve() / name
    return place if place.is_dir() else None


def required_folder(name: str) -> Path:
    """Return the folder of the set `name`; raises ConfigError where it is not."""
    place = data_folder(name)
    if place is None:
        raise ConfigError(f"the data set {name!r} is not here; set AGENTKIT_DATA to the folder that holds it")
    return place


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzipped JSONL file; raises ConfigError with the line that is none."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path.name}:{number} is not a JSON object: {error}") from error
            yield row
