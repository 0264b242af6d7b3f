"""A table of outcomes from our own traces: a row for each task, what each model did on it on average."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from agentkit.costs import NANO
from agentkit.errors import TableError
from agentkit.routers.estimators.table import Floats, Item, OutcomeTable, Voted
from agentkit.routers.lessons import Lesson, Verdict, read_lessons


def read_traces(path: str | Path, verdict: Verdict | None = None) -> OutcomeTable:
    """Read a trace file as a table; raises TableError where it is none, or no run in it has a score.

    Scores are those of `agentkit.routers.lessons`. Runs that are alike in task and model count as one, of which
    the latest answer is kept; votes are kept of each of them, with the score of the answer that they are on.
    """
    path = Path(path)
    lessons = [lesson for lesson in read_lessons(path, verdict) if lesson.score is not None]
    if not lessons:
        raise TableError("no run has a score; give a verdict on its answers", path, 0)
    tasks = {task: row for row, task in enumerate(dict.fromkeys(lesson.task for lesson in lessons))}
    models = tuple(sorted({lesson.model for lesson in lessons}))
    cells: dict[tuple[int, int], list[Lesson]] = {}
    for lesson in lessons:
        cells.setdefault((tasks[lesson.task], models.index(lesson.model)), []).append(lesson)

    def matrix(value: Callable[[Lesson], float]) -> Floats:
        filled = np.full((len(tasks), len(models)), np.nan)
        for place, found in cells.items():
            filled[place] = fmean(value(lesson) for lesson in found)
        return filled

    return OutcomeTable(
        name=path.stem,
        items=tuple(Item(f"{path.stem}-{row}", path.stem, path.stem, task) for task, row in tasks.items()),
        models=models,
        score=matrix(lambda lesson: lesson.score or 0.0),
        cost=matrix(lambda lesson: lesson.nano_usd / NANO),
        input_tokens=matrix(lambda lesson: lesson.input_tokens),
        output_tokens=matrix(lambda lesson: lesson.output_tokens),
        latency=matrix(lambda lesson: lesson.seconds),
        answers=_answers(cells, len(tasks), models),
        votes=_votes(cells, len(tasks), models),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _answers(
    cells: dict[tuple[int, int], list[Lesson]], rows: int, models: Sequence[str]
) -> tuple[dict[str, str], ...]:
    """Return the answers by row and model, where each scored reply has one: a verifier learns from all or none."""
    found: tuple[dict[str, str], ...] = tuple({} for _ in range(rows))
    for (row, column), lessons in cells.items():
        if not lessons[-1].answer:
            return ()
        found[row][models[column]] = lessons[-1].answer
    return found


def _votes(
    cells: dict[tuple[int, int], list[Lesson]], rows: int, models: Sequence[str]
) -> tuple[dict[str, tuple[Voted, ...]], ...]:
    """Return the votes by row and model, each run's with its own score; nothing where no reply has any."""
    found: tuple[dict[str, tuple[Voted, ...]], ...] = tuple({} for _ in range(rows))
    for (row, column), lessons in cells.items():
        if voted := tuple(Voted(one.votes, one.score or 0.0) for one in lessons if one.votes):
            found[row][models[column]] = voted
    return found if any(found) else ()
