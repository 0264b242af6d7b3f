"""One number for what work costs: dollars over models and tools, and effective FLOPs over local calls.

Dollars, the unified cost of BATS (arXiv 2511.17006): what the tokens cost, cached ones at their discount, plus
Σ calls · price over the tools, so that a run that searches a lot does not look cheap.

Effective FLOPs (R. Sadhukhan et al., Kinetics, NeurIPS 2025): computing, plus what could be computed in the time
that memory traffic takes,

    eFLOPs = compute + I · traffic,   I = the device's FLOP/s over its bytes/s

For P parameters and, over all layers, q query and v key-value channels (heads · head size · layers), N samples of
D tokens after a prompt of L tokens, of which L_c are cached, with A(s, n) keys seen by the n tokens after s:

    compute = 2P(L − L_c) + 4q·A(L_c, L − L_c) + N·(2P·D + 4q·A(L, D))
    traffic = bytes · 2v · (L_c + A(L, D) + (N − 1)·(A(L, D) − A_L))

where A(s, n) = Σ_{t=1..n} (s + t), or Σ min(K, s + t) when attention keeps K keys, and A_L = D·min(L, K) of the
keys are the prompt's, which the samples read together. In closed form A is K·n less a triangle of the keys that
are not there yet; one function of the paper's code adds that triangle, a slip: the keys seen cannot exceed K·n.
Traffic of the parameters is left out, as in the paper, which amortises it over a large batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentkit.types import Receipt
from agentkit.usage import Usage


def unified_cost(receipts: Iterable[Receipt], tool_prices: Mapping[str, int]) -> int:
    """Return the cost of `receipts` in nano-dollars, a call of a tool at its price by name.

    A tool without a price there, and every model, counts as charged.
    """
    total = 0
    for receipt in receipts:
        kind, _, name = receipt.what.partition(":")
        priced = kind == "tool" and name in tool_prices
        total += tool_prices[name] * receipt.charged["tool_calls"] if priced else receipt.charged["usd"]
    return total


@dataclass(frozen=True, slots=True)
class Decoder:
    """The shape of a decoder as far as it costs; `kv_bytes` is the size of one cached number."""

    parameters: int
    layers: int
    query_heads: int
    kv_heads: int
    head_size: int
    kv_bytes: int = 2

    @property
    def query_channels(self) -> int:
        """Numbers in the queries of one token, over all layers."""
        return self.layers * self.query_heads * self.head_size

    @property
    def kv_channels(self) -> int:
        """Numbers in the keys of one token, over all layers; its values are as many."""
        return self.layers * self.kv_heads * self.head_size


def effective_flops(
    decoder: Decoder, usage: Usage, *, intensity: float, samples: int = 1, kept: int | None = None
) -> float:
    """Return the eFLOPs of `samples` local calls with this `usage` each, on a device of `intensity` FLOP per byte.

    Tokens read from the prefix cache are neither computed nor attended from, and their keys are read once. `kept`
    is how many keys a token attends to at most, with sparse attention or a compressed cache.
    """
    cached, prompt, made = usage.cache_read_tokens, usage.total_input, usage.total_output
    new = prompt - cached
    prefill = 2 * decoder.parameters * new + 4 * decoder.query_channels * keys_seen(cached, new, kept)
    seen = keys_seen(prompt, made, kept)
    decode = 2 * decoder.parameters * made + 4 * decoder.query_channels * seen
    own = seen - made * (prompt if kept is None else min(prompt, kept))
    read = cached + seen + (samples - 1) * own
    traffic = decoder.kv_bytes * 2 * decoder.kv_channels * read
    return prefill + samples * decode + intensity * traffic


def keys_seen(start: int, count: int, kept: int | None = None) -> int:
    """Return Σ min(kept, start + t) for t = 1…count: the keys that `count` tokens after `start` attend to."""
    growing = count if kept is None else min(count, max(0, kept - start))
    full = start * growing + growing * (growing + 1) // 2
    return full + (count - growing) * (kept or 0)
