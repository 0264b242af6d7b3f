"""The quote bench: its counts, its baseline, and the shape it gives the embedded models."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from safetensors import safe_open

from agentkit.costs import NANO, Cost
from agentkit.evals.benches import Options
from agentkit.evals.benches.quote import Trial, _decoder, _measured, _normal_ranges, _script
from agentkit.local_models.config import LlamaConfig
from agentkit.local_models.zoo import CARDS, folder


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    """A hundred runs of the script that count, and the hundred before them."""
    return anyio.run(_script, Options(quick=True), 1.0)


def test_every_run_is_quoted_from_those_before_it(trials: list[Trial]) -> None:
    assert [trial.quote.runs for trial in trials] == list(range(200))
    assert not any(trial.is_maximum_passed for trial in trials)


def test_a_maximum_that_is_passed_is_seen(trials: list[Trial]) -> None:
    answer = replace(trials[0].answer, spent=Cost(usd=trials[0].quote.maximum["usd"] + 1))
    assert replace(trials[0], answer=answer).is_maximum_passed


def test_runs_are_counted_inside_below_and_above(trials: list[Trial]) -> None:
    spent = [trial.spent for trial in trials[:4]]
    ranges = [(spent[0], spent[0]), (spent[1] + 1, NANO), (0, spent[2] - 1), (0, spent[3] + NANO)]
    ratios, covered = _measured(ranges, trials[:4])
    assert (covered, ratios["coverage_ratio"]) == (2, 0.5)
    assert (ratios["below_ratio"], ratios["above_ratio"]) == (0.25, 0.25)


def test_the_baseline_knows_only_what_came_before() -> None:
    ranges = _normal_ranges([10] * 50 + [30] * 50 + [1_000_000, 20])
    assert ranges[0] == pytest.approx((20 - 12.88, 20 + 12.88), abs=0.01)  # the deviation is 10.05
    assert ranges[1][1] > 100_000


@pytest.mark.parametrize("name", CARDS)
def test_a_decoder_has_the_parameters_of_its_model(name: str) -> None:
    with safe_open(folder(name) / "model.safetensors", "numpy") as tensors:
        sizes = [tensors.get_slice(key).get_shape() for key in tensors.keys()]
    matrices = sum(shape[0] * shape[1] for shape in sizes if len(shape) == 2)
    assert _decoder(LlamaConfig.from_folder(folder(name))).parameters == matrices
