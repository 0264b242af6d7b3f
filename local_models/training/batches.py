"""Conversations to padded batches of token ids with loss weights."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from agentkit.local_models.text import ChatTokenizer
from agentkit.types import Conversation

_POOL = 192
"""Conversations sorted by length at a time, so that batches need little padding."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs and targets (batch, n) int64; `weights` (batch, n) float32: 0 on padding, 1 on assistant tokens."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor


class Batches:
    """Draws batches of about `tokens_per_batch` tokens; `context_weight` is the loss weight of prompts."""

    def __init__(
        self,
        draw: Callable[[], Conversation],
        tokenizer: ChatTokenizer,
        *,
        tokens_per_batch: int,
        context_weight: float,
        seed: int,
    ) -> None:
        self._draw, self._tokenizer = draw, tokenizer
        self._tokens_per_batch, self._context_weight = tokens_per_batch, context_weight
        self._rng = random.Random(seed)
        self._assistant, self._end, self._pad = (
            tokenizer.encode(token)[0] for token in ("<|assistant|>", "<|end|>", "<|pad|>")
        )

    def __iter__(self) -> Iterator[Batch]:
        while True:
            rows = sorted((self._row(self._draw()) for _ in range(_POOL)), key=lambda row: len(row[0]))
            groups: list[list[tuple[list[int], list[float]]]] = [[]]
            for row in rows:
                if (len(groups[-1]) + 1) * len(row[0]) > self._tokens_per_batch and groups[-1]:
                    groups.append([])
                groups[-1].append(row)
            self._rng.shuffle(groups)
            yield from map(self._batch, groups)

    def _row(self, conversation: Conversation) -> tuple[list[int], list[float]]:
        text = self._tokenizer.template.render(
            conversation.messages, conversation.tools, add_generation_prompt=False
        )
        ids = self._tokenizer.encode(text)
        weights, speaking = [], False
        for token in ids:
            weights.append(1.0 if speaking else self._context_weight)
            speaking = token == self._assistant or (speaking and token != self._end)
        return ids, weights

    def _batch(self, rows: list[tuple[list[int], list[float]]]) -> Batch:
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [self._pad] * (longest - len(ids)) for ids, _ in rows])
        weights = torch.tensor([weights + [0.0] * (longest - len(weights)) for _, weights in rows])
        return Batch(ids[:, :-1], ids[:, 1:], weights[:, 1:])
