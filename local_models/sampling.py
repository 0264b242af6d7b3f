"""Choosing the next token from logits: greedy, or sampled with temperature, top-k and top-p."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. A temperature of 0 is greedy; top_k 0 and top_p 1 keep every token.

    Without a seed each generation draws its own.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None


class Sampler:
    """Draws the tokens of one generation from its own random stream, which nothing else advances."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed % 2**64)

    def pick(self, logits: Tensor) -> int:
        """Return a token for float32 logits (vocab,); they are drawn on the CPU, so devices agree."""
        if self._sampling.temperature == 0:
            return int(logits.argmax())
        probabilities = _probabilities(logits.cpu(), self._sampling)
        return int(torch.multinomial(probabilities, 1, generator=self._random))


def certainty(logits: Tensor, token: int) -> tuple[float, float]:
    """Return the natural log-probability of `token` under the model's own float32 logits (vocab,), and the margin.

    That is the log-probability of the likeliest token less that of the second, which is their logits' difference.
    """
    first, second = logits.topk(2).values.tolist()
    return float(torch.log_softmax(logits, dim=-1)[token]), first - second


def _probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    # The largest logit becomes 0 first, so that a tiny temperature sends the rest to -inf instead of nan.
    scaled = (logits - logits.max()) / sampling.temperature
    if 0 < sampling.top_k < len(scaled):
        scaled = scaled.masked_fill(scaled < scaled.topk(sampling.top_k).values[-1], -torch.inf)
    probabilities = scaled.softmax(dim=-1)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(descending=True, stable=True)
        dropped = ordered.cumsum(-1) - ordered >= sampling.top_p  # likelier tokens already make up top_p
        dropped[0] = False
        probabilities[order[dropped]] = 0
    return probabilities  # torch.multinomial takes weights, so nothing needs to sum to 1
