"""Sampling: what may be drawn, how often, and that seeds own their stream."""

import math

import pytest
import torch

from agentkit.local_models.sampling import Sampler, Sampling, certainty

PROBABILITIES = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
LOGITS = PROBABILITIES.log() + 3.0


def draw(n: int, **settings: float) -> list[int]:
    sampler = Sampler(Sampling(**({"temperature": 1.0, "seed": 1} | settings)))  # type: ignore[arg-type]  # by name
    return [sampler.pick(LOGITS) for _ in range(n)]


def test_greedy_takes_the_likeliest() -> None:
    assert draw(3, temperature=0.0) == [1, 1, 1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    n = 4000
    expected = (LOGITS / temperature).softmax(-1) * n
    counts = torch.bincount(torch.tensor(draw(n, temperature=temperature)), minlength=5)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 18.5  # 4 degrees of freedom: 1 in 1000 by chance, and the seed is fixed


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 1}, {1}),
        ({"top_k": 99}, {0, 1, 2, 3, 4}),
        ({"top_p": 0.0}, {1}),
        ({"top_p": 0.39}, {1}),
        ({"top_p": 0.5}, {1, 3}),
        ({"top_p": 0.75}, {1, 3, 4}),
        ({"top_p": 0.5, "top_k": 1}, {1}),
        ({"temperature": 1e-6}, {1}),
        ({"temperature": 1e-45}, {1}),
    ],
    ids=str,
)
def test_only_the_allowed_tokens_are_drawn(settings: dict[str, float], allowed: set[int]) -> None:
    assert set(draw(400, **settings)) == allowed


def test_a_seed_gives_the_same_tokens_whatever_else_draws() -> None:
    alone = draw(30, seed=7)
    sampler, other = Sampler(Sampling(temperature=1.0, seed=7)), Sampler(Sampling(temperature=1.0, seed=8))
    together = []
    for _ in range(30):
        torch.rand(3)
        other.pick(LOGITS)
        together.append(sampler.pick(LOGITS))
    assert together == alone
    assert draw(30, seed=8) != alone
    assert draw(30, seed=2**64 + 7) == alone  # any integer is a seed


def test_without_a_seed_each_sampler_has_its_own() -> None:
    streams = {tuple(Sampler(Sampling(temperature=5.0)).pick(LOGITS) for _ in range(1)) for _ in range(200)}
    assert len(streams) > 1


def test_log_probabilities_are_of_the_models_own_distribution() -> None:
    for token, probability in enumerate(PROBABILITIES.tolist()):
        found, margin = certainty(LOGITS, token)
        assert found == pytest.approx(math.log(probability), abs=1e-6)
        assert margin == pytest.approx(math.log(0.4 / 0.3), abs=1e-6)  # whichever token was drawn
