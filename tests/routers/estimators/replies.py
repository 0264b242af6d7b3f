"""A made-up table with replies: what a model says shows, now and then, that it is wrong."""

from dataclasses import replace

import numpy as np

from agentkit.routers.estimators import OutcomeTable
from tests.routers.estimators.tables import two_topics


def with_replies(queries: int = 300, seed: int = 0) -> OutcomeTable:
    """Right answers agree; two of three wrong ones hedge, and each wrong one is a number of its own."""
    table = two_topics(queries, seed)
    draw = np.random.default_rng(seed + 1)
    rows = []
    for row in range(queries):
        said = {}
        for column, model in enumerate(table.models):
            right = table.score[row, column] == 1
            hedge = "However, not sure. " if not right and draw.random() < 2 / 3 else "This is now plain. "
            number = row * 7_919 % 8_000 if right else int(draw.integers(8_000))
            said[model] = f"{hedge * 3}The answer is {1_001 + number}."
        rows.append(said)
    return replace(table, responses=tuple(rows))
