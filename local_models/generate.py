"""The token loop: read the prompt into a KV cache, then sample token by token until something says stop.

Generations of one model take turns: each computes for a few milliseconds on a worker thread, so the event
loop stays free, streams interleave, and a cancelled one stops within a token.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from anyio import CapacityLimiter, from_thread, to_thread
from anyio.lowlevel import RunVar
from torch import Tensor

from agentkit.local_models.model import KVCache, Llama
from agentkit.local_models.sampling import Sampler, Sampling, certainty

T = TypeVar("T")

_PREFILL_CHUNK = 256  # tokens; the longest stretch that a cancellation waits for
_SLICE_S = 0.005  # long enough to hide the hop between threads behind small models


@dataclass(frozen=True, slots=True)
class Token:
    """A sampled token; `certainty` is its log-probability and the margin, None unless they were asked for."""

    id: int
    certainty: tuple[float, float] | None


class Engine:
    """Runs generations of one model and keeps the KV of the last `keep` sequences, to reuse their prefixes."""

    def __init__(self, model: Llama, *, keep: int = 4) -> None:
        self.model = model
        self.device = model.lm_head.weight.device
        self._keep = keep
        self._kept: tuple[tuple[Sequence[int], KVCache], ...] = ()
        self._turn = threading.Lock()  # between event loops
        self._waiting: RunVar[CapacityLimiter] = RunVar("turn")  # within one: first come, first served

    async def advance(self, steps: Iterator[T]) -> list[T]:
        """Take some of `steps` on a worker thread; an empty list means there are none left."""
        return await to_thread.run_sync(self._slice, steps, limiter=self._limiter())

    def cache_for(self, prompt: Sequence[int], capacity: int) -> KVCache:
        """Return a cache with room for `capacity` tokens that holds the longest known prefix of `prompt`.

        The last token of the prompt is never in it: its logits are needed.
        """
        cache = KVCache(self.model.config, capacity, self.device, self.model.lm_head.weight.dtype)
        known = [(_common_prefix(tokens, prompt[:-1]), kept) for tokens, kept in self._kept]
        if known:
            length, kept = max(known, key=lambda pair: pair[0])
            cache.store[..., :length, :] = kept.store[..., :length, :]
            cache.length = length
        return cache

    def remember(self, tokens: Sequence[int], cache: KVCache) -> None:
        """Keep what `cache` holds of `tokens`; it must not change any more."""
        tokens = tokens[: cache.length]
        others = [pair for pair in self._kept if _common_prefix(pair[0], tokens) < len(pair[0])]
        self._kept = (*others, (tokens, cache))[-self._keep :] if self._keep else ()

    def _slice(self, steps: Iterator[T]) -> list[T]:
        taken: list[T] = []
        with self._turn:
            end = time.perf_counter() + _SLICE_S
            for step in steps:
                taken.append(step)
                if time.perf_counter() >= end:
                    break
                from_thread.check_cancelled()
        return taken

    def _limiter(self) -> CapacityLimiter:
        limiter = self._waiting.get(None)
        if limiter is None:
            limiter = CapacityLimiter(1)
            self._waiting.set(limiter)
        return limiter


class Generation:
    """One sequence in the making.

    `cap` bounds the sampled tokens, the stop token included; `window` the whole sequence; `gpu_us_limit` the
    time on the GPU, as long as no step takes longer than those before it.
    """

    def __init__(
        self,
        engine: Engine,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        cap: int,
        window: int,
        stop_ids: Collection[int] = (),
        logprobs: bool = False,
        gpu_us_limit: int | None = None,
    ) -> None:
        self._engine, self._sampler = engine, Sampler(sampling)
        self._prompt, self._stop_ids, self._logprobs = prompt, stop_ids, logprobs
        self._room = min(cap, window - len(prompt))
        self._gpu_us_limit, self._slowest_us = gpu_us_limit, 0
        self.reused_tokens = 0
        self.read_tokens = 0
        self.gpu_us = 0
        self.finish: Literal["stop", "length"] = "length"

    def steps(self) -> Generator[Token | None, None, None]:
        """Compute the sequence: yield None for each piece of a long prompt, then the sampled tokens."""
        tokens = list(self._prompt)
        cache = self._engine.cache_for(self._prompt, len(tokens) + self._room)
        self.reused_tokens = cache.length
        try:
            while len(tokens) - cache.length > _PREFILL_CHUNK:
                self._forward(tokens[cache.length : cache.length + _PREFILL_CHUNK], cache)
                yield None
            while len(tokens) < len(self._prompt) + self._room and self._gpu_time_is_left():
                logits = self._forward(tokens[cache.length :], cache)
                token = self._sampler.pick(logits)
                tokens.append(token)
                yield Token(token, certainty(logits, token) if self._logprobs else None)
                if token in self._stop_ids:
                    self.finish = "stop"
                    return
        finally:
            self._engine.remember(tokens, cache)

    def _forward(self, tokens: Sequence[int], cache: KVCache) -> Tensor:
        device = self._engine.device
        started = time.perf_counter()
        with torch.inference_mode():
            logits: Tensor = self._engine.model(torch.tensor([tokens], device=device), cache, last_only=True)[
                0, -1
            ]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            step_us = math.ceil((time.perf_counter() - started) * 1_000_000)
            self.gpu_us, self._slowest_us = self.gpu_us + step_us, max(self._slowest_us, step_us)
        self.read_tokens = min(cache.length, len(self._prompt))
        return logits

    def _gpu_time_is_left(self) -> bool:
        return self._gpu_us_limit is None or self.gpu_us + self._slowest_us <= self._gpu_us_limit


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)
