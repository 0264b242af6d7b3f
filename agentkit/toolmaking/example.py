"""Solved tasks, by families of the same kind, and which family a new task belongs to.

A task belongs to a family when its words are about as like those of the family's examples as these are like each
other: with J(a, b) = |a ∩ b| / |a ∪ b| over words (numbers count as one word), its mean J to the examples must
be at least `SLACK` times the least mean that an example has to the others. It costs nothing, and each family
brings its own measure of how alike its tasks are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError

SLACK = 0.8
LEAST_EXAMPLES = 3
"""Two show a maker what is alike, and one more whether the tool does more than repeat them."""
_WORD = re.compile(r"\d+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Example:
    """A task and its answer, as it is to be given."""

    task: str
    answer: str


@dataclass(frozen=True, slots=True)
class Family:
    """Tasks of one kind, by their solved examples; raises ConfigError for too few."""

    name: str
    examples: tuple[Example, ...]
    _bags: tuple[frozenset[str], ...] = field(init=False, repr=False, compare=False)
    _least: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.examples) < LEAST_EXAMPLES:
            raise ConfigError(
                f"the family {self.name!r} has {len(self.examples)} solved examples; give {LEAST_EXAMPLES} or more"
            )
        bags = tuple(_bag(example.task) for example in self.examples)
        object.__setattr__(self, "_bags", bags)
        own = [_mean(bag, [*bags[:place], *bags[place + 1 :]]) for place, bag in enumerate(bags)]
        object.__setattr__(self, "_least", min(own))

    def likeness(self, task: str) -> float:
        """Return how alike `task` is to the examples; 1 is as little as the least typical of them."""
        return _mean(_bag(task), self._bags) / self._least if self._least else 0.0


def family_of(task: str, families: Iterable[Family]) -> Family | None:
    """Return the family that `task` is most like, None when it is like none."""
    rated = [(family.likeness(task), family) for family in families]
    likeness, family = max(rated, key=lambda pair: pair[0], default=(0.0, None))
    return family if likeness >= SLACK else None


def read_families(path: str | Path) -> tuple[Family, ...]:
    """Read JSON lines of `family`, `task` and `answer`; raises ConfigError with the line that is none."""
    found: dict[str, list[Example]] = {}
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"the examples {str(path)!r} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _row(line, f"{path}:{number}")
            found.setdefault(row["family"], []).append(Example(row["task"], row["answer"]))
    if not found:
        raise ConfigError(f"there are no examples in {str(path)!r}")
    return tuple(Family(name, tuple(examples)) for name, examples in found.items())


def _row(line: str, where: str) -> Mapping[str, str]:
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    keys = ("family", "task", "answer")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) and row[key] for key in keys):
        raise ConfigError(f'{where}: an example is {{"family": text, "task": text, "answer": text}}')
    return row


def _bag(text: str) -> frozenset[str]:
    return frozenset("0" if word.isdigit() else word for word in _WORD.findall(text.casefold()))


def _mean(bag: frozenset[str], others: Iterable[frozenset[str]]) -> float:
    alike = [len(bag & other) / len(bag | other) for other in others if bag | other]
    return sum(alike) / len(alike) if alike else 0.0
