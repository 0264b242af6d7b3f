"""Sharing out samples, and the rules that pick one of them."""

import random

import numpy as np
import pytest

from agentkit.evals.baselines.sample_selection import Passes, b4, codet, majority
from agentkit.evals.benches import Options, best_of, load
from agentkit.evals.benches.best_of import Sample
from agentkit.evals.public_data import data_folder


def passes(*rows: str) -> Passes:
    return np.array([[sign == "1" for sign in row] for row in rows], dtype=np.uint8)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        (("1100", "0011", "0011"), (1, 1, 1)),  # the largest class passes as many
        (("1111", "1000", "1000"), (1, 0, 0)),  # two samples, one test: √2·1 < 1·4
        (("0000", "0000", "1110"), (0, 2, 2)),
    ],
)
def test_who_is_picked(rows: tuple[str, ...], chosen: tuple[int, int, int]) -> None:
    assert (majority(passes(*rows)), codet(passes(*rows)), b4(passes(*rows))) == chosen


def test_b4_finds_the_right_class_where_its_model_holds() -> None:
    draw = np.random.default_rng(0)
    found = []
    for _ in range(40):
        tests = draw.random(30) < 0.5
        right = np.tile(tests, (3, 1))
        wrong = draw.random((7, 30)) < np.where(tests, 0.3, 0.02)
        found.append(b4(np.concatenate([wrong, right]).astype(np.uint8)) >= 7)
    assert np.mean(found) > 0.9


def test_samples_go_where_they_gain_and_never_after_a_right_one() -> None:
    draw = random.Random(0)
    easy = [Sample(draw.random() < 0.9, "") for _ in range(50)]
    questions = [[Sample(True, "")] * 9, easy, [Sample(False, "")] * 9]
    units = best_of._one_by_one(questions, (1.0, 1.0), 12)
    assert units[0] == 1 and units[2] == 9
    assert units[1] == next(place for place, one in enumerate(easy, 1) if one.right)
    assert sum(best_of._one_by_one(questions, (1.0, 1.0), 4)) == 4


@pytest.mark.skipif(data_folder("samples_codet_humaneval") is None, reason="the samples are not here")
def test_the_bench() -> None:
    found = load("best-of")(Options(quick=True)).to_json()
    metrics = found["metrics"]
    assert metrics["code_marginal_solved"] > metrics["code_uniform_solved"]
    assert metrics["code_chance_picked"] == pytest.approx(0.2147, abs=0.03)
    assert found["intervals"]["code_marginal_gain"][0] > 0
