"""The cost model's closed forms equal the sums they stand for."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets.cost_model import Decoder, effective_flops, keys_seen, unified_cost
from agentkit.costs import Cost
from agentkit.types import Receipt
from agentkit.usage import Price, Usage

TINY = Decoder(parameters=1_000, layers=2, query_heads=4, kv_heads=2, head_size=8)
sizes = st.integers(0, 40)


def receipt(what: str, usd: int, calls: int = 1) -> Receipt:
    charged = Cost(usd=usd, tool_calls=calls if what.startswith("tool:") else 0)
    return Receipt(what, "run", what, "settled", charged, charged)


def summed(
    decoder: Decoder, cached: int, new: int, made: int, *, intensity: float, samples: int, kept: int | None
) -> float:
    """Go through every token of every sample: multiply-adds, and the bytes of keys and values that are read."""
    prompt = cached + new
    flops = nbytes = 0
    nbytes += cached * 2 * decoder.kv_bytes * decoder.kv_channels
    for token in range(cached, prompt):
        keys = token + 1 if kept is None else min(kept, token + 1)
        flops += 2 * decoder.parameters + 2 * 2 * decoder.query_channels * keys
    for sample in range(samples):
        for token in range(prompt, prompt + made):
            keys = token + 1 if kept is None else min(kept, token + 1)
            shared = prompt if kept is None else min(kept, prompt)
            flops += 2 * decoder.parameters + 2 * 2 * decoder.query_channels * keys
            read = keys if sample == 0 else keys - shared
            nbytes += read * 2 * decoder.kv_bytes * decoder.kv_channels
    return flops + intensity * nbytes


@given(sizes, sizes, sizes, st.integers(1, 4), st.none() | st.integers(1, 60))
def test_the_formula_is_the_sum_over_tokens(
    cached: int, new: int, made: int, samples: int, kept: int | None
) -> None:
    usage = Usage(new, cache_read_tokens=cached, output_tokens=made)
    assert effective_flops(TINY, usage, intensity=4.0, samples=samples, kept=kept) == summed(
        TINY, cached, new, made, intensity=4.0, samples=samples, kept=kept
    )


def test_effective_flops_worked_example() -> None:
    """P = 1000, q = 64, v = 32; prompt 3, of which 2 cached; 2 tokens made; I = 10.

    computing: prefill 2000 + 4·64·3 = 2768, decoding 2·2000 + 4·64·(4 + 5) = 6304
    traffic:   2 bytes · 2 · 32 · (2 + 4 + 5) = 1408 bytes
    """
    usage = Usage(1, cache_read_tokens=2, output_tokens=1, reasoning_tokens=1)
    assert effective_flops(TINY, usage, intensity=10) == 2_768 + 6_304 + 14_080


@given(sizes, sizes, st.integers(1, 60))
def test_keeping_fewer_keys_never_costs_more(start: int, count: int, kept: int) -> None:
    """The triangle is taken away, never added: with more keys than are kept there would be nothing to save."""
    seen = keys_seen(start, count, kept)
    assert seen <= min(keys_seen(start, count), kept * count)
    missing = max(0, kept - start)
    if count >= missing:
        assert seen == kept * count - missing * (missing - 1) // 2


def test_a_cached_prefix_is_cheaper() -> None:
    warm = Usage(10, cache_read_tokens=90, output_tokens=20)
    cold = Usage(100, output_tokens=20)
    assert effective_flops(TINY, warm, intensity=1) < effective_flops(TINY, cold, intensity=1)


def test_unified_cost_worked_example() -> None:
    """BATS: tokens with the discount of cached ones, and $0.001 for each of two searches; a note is as charged.

    1,000 fresh at $1, 4,000 cached at $0.10 and 500 made at $4 per million: $0.0034.
    """
    price = Price(Decimal(1), Decimal(4), cache_read=Decimal("0.1"))
    model = price.nano_usd(Usage(1_000, cache_read_tokens=4_000, output_tokens=500))
    receipts = [
        receipt("model:search", model),  # a model of that name is no tool
        receipt("tool:search", 0),
        receipt("tool:search", 5),
        receipt("tool:note", 7),
        receipt("tool:search", 0, calls=0),  # held, never made
    ]
    assert model == 3_400_000
    assert unified_cost(receipts, {"search": 1_000_000}) == 3_400_000 + 2 * 1_000_000 + 7
