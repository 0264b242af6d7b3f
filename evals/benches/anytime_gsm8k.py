"""Recorded answers of a small model under four output caps (anytime_gsm8k), replayed as a model.

The recordings are greedy, one per question and cap. Under a cap between two recorded ones the smaller one's
reply is played; below the smallest, whose reply then may be longer than the cap, it is cut and has no answer left.
A token is a word here: the recorded length of a reply counts, the prompt is the question's words.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentkit.backends import ScriptedBackend
from agentkit.evals.public_data import data_folder
from agentkit.types import Request

VARIANT = "abl:main_adapter"
LARGEST_CAP = 320


@dataclass(frozen=True, slots=True)
class Reply:
    """A recorded reply: the output cap it was made under, its length in tokens, its answer and the verdict."""

    cap: int
    tokens: int
    answer: str
    correct: bool

    @property
    def text(self) -> str:
        """A text of the recorded length that ends with the answer."""
        return "so " * (self.tokens - 1) + f"#{self.answer}".replace(" ", "")


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its replies by rising cap."""

    text: str
    replies: tuple[Reply, ...]

    def model(self) -> ScriptedBackend:
        """Return a model that plays the recordings."""
        return ScriptedBackend(self._play)

    def is_correct(self, text: str) -> bool:
        """Tell whether `text` ends with an answer that was judged right."""
        words = text.split()
        return bool(words) and any(reply.correct and reply.text.split()[-1] == words[-1] for reply in self.replies)

    def _play(self, request: Request) -> str:
        within = [reply for reply in self.replies if reply.cap <= request.max_output_tokens]
        return (within or self.replies)[-1 if within else 0].text


def folder() -> Path | None:
    """Return where the recordings lie, None where they do not; see `data_folder`."""
    place = data_folder("anytime_gsm8k")
    return place if place and (place / "outcomes.csv.gz").is_file() else None


def problems(place: Path, variant: str = VARIANT) -> list[Problem]:
    """Read the questions that `variant` of the model answered under every cap."""
    with gzip.open(place / "queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        questions = {(row := json.loads(line))["query_id"]: row["query"] for line in lines}
    replies: dict[str, list[Reply]] = {query: [] for query in questions}
    for query, reply in _replies(place, variant):
        replies[query].append(reply)
    return [
        Problem(questions[query], tuple(sorted(found, key=lambda reply: reply.cap)))
        for query, found in replies.items()
        if found
    ]


def _replies(place: Path, variant: str) -> Iterator[tuple[str, Reply]]:
    with gzip.open(place / "outcomes.csv.gz", "rt", encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["variant"] == variant:
                tokens = int(row["output_tokens_est"])
                reply = Reply(int(row["max_new_tokens"]), tokens, row["answer"], row["correct"] == "1")
                yield row["query_id"], reply
