"""A small slice of real outcomes, where they are: the default is no worse than the best single model."""

import numpy as np
import pytest

from agentkit.evals.public_data import data_folder
from agentkit.evals.replay.contenders import contenders
from agentkit.evals.replay.folds import folds
from agentkit.evals.replay.report import report
from agentkit.evals.replay.runs import replay
from agentkit.routers.estimators import read_table

PLACE = data_folder("routing_llmrouter")


@pytest.mark.skipif(PLACE is None, reason="no recorded outcomes; set AGENTKIT_DATA")
def test_the_default_earns_its_cost_on_real_outcomes() -> None:
    assert PLACE is not None
    table = read_table(PLACE, assumed_output=200)
    table = table.rows(np.random.default_rng(0).permutation(len(table.items))[:600])
    arena, runs = replay(list(folds(table, count=2)), contenders(["default"]))
    row = report(arena, runs, resamples=200)["routers"]["default"]
    assert row["quality_over_best_single_high"] > -0.005
    assert row["hull_over_zero_low"] > 0 < row["brier_skill_low"]
    assert row["ece_debiased"] < 0.08
