"""Cost bugs that gateways and tracers really had, each with its record and the exact price in nano-dollars.

The issue names where the record is from; `wrong` is what was charged or shown there, in dollars, or what its
mistake makes of the record where it gives no sum. Where it gives no price or no output, these are examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.usage_records import anthropic_usage, chat_usage, gemini_usage
from agentkit.prices import lookup
from agentkit.sse import ServerEvent
from agentkit.types import ModelCard
from agentkit.usage import Price, Usage


@dataclass(frozen=True)
class Bug:
    """A record, the price it was billed at, what it cost and what somebody's software said it cost."""

    read: Callable[[Mapping[str, Any]], Usage | None]
    record: Mapping[str, Any]
    price: Price | None
    nano: int
    wrong: str


def price(*rates: str) -> Price:
    """Input, output, cache read and cache write, dollars per million tokens."""
    return Price(*(Decimal(rate) for rate in rates))


GEMINI_25_PRO = lookup("gemini-2.5-pro")

BUGS: dict[str, Bug] = {
    "cached tokens billed twice, OpenAI: litellm#6215": Bug(
        chat_usage,
        {
            "prompt_tokens": 2_006,
            "completion_tokens": 300,
            "total_tokens": 2_306,
            "prompt_tokens_details": {"cached_tokens": 1_920},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        lookup("gpt-4o"),
        5_615_000,
        "0.010415",
    ),
    "prompt count with or without cached ones: litellm#15945": Bug(
        chat_usage,
        {
            "prompt_tokens": 9_126,
            "completion_tokens": 3_197,
            "prompt_tokens_details": {"cached_tokens": 4_864},
        },
        lookup("gpt-5"),
        37_905_500,
        "0.0439855",
    ),
    "cached tokens billed in full, Fireworks: litellm#31714": Bug(
        chat_usage,
        {
            "prompt_tokens": 27_147,
            "completion_tokens": 351,
            "prompt_tokens_details": {"cached_tokens": 27_146},
        },
        price("1.4", "4.4", "0.26"),
        8_603_760,
        "0.0395502",
    ),
    "cached tokens billed twice, Gemini: litellm#14849": Bug(
        gemini_usage,
        {
            "promptTokenCount": 262_960,
            "cachedContentTokenCount": 257_955,
            "candidatesTokenCount": 1_744,
            "totalTokenCount": 264_704,
        },
        price("1.25", "10", "0.625"),  # as the issue computes it, 0.1849
        184_918_125,
        "0.7642",
    ),
    "the same call at the tier above 200,000 tokens": Bug(
        gemini_usage,
        {
            "promptTokenCount": 262_960,
            "cachedContentTokenCount": 257_955,
            "candidatesTokenCount": 1_744,
            "totalTokenCount": 264_704,
        },
        GEMINI_25_PRO,
        103_161_250,
        "0.7642",
    ),
    "cached tokens billed twice, Gemini: pi#2148": Bug(
        gemini_usage,
        {
            "promptTokenCount": 20_212,
            "cachedContentTokenCount": 16_298,
            "candidatesTokenCount": 931,
            "totalTokenCount": 21_143,
        },
        lookup("gemini-3-flash-preview"),
        5_564_900,
        "0.0137",
    ),
    "cached tokens ignored, 6.6 times too high: agenta#5711": Bug(
        gemini_usage,
        {
            "promptTokenCount": 25_978,
            "cachedContentTokenCount": 24_540,
            "candidatesTokenCount": 13,
            "totalTokenCount": 25_991,
        },
        lookup("gemini-3.5-flash"),
        5_955_000,
        "0.039084",
    ),
    "thoughts missing: vercel/ai#6082": Bug(
        gemini_usage,
        {
            "promptTokenCount": 7_477,
            "candidatesTokenCount": 2_060,
            "thoughtsTokenCount": 1_939,
            "totalTokenCount": 11_476,
        },
        GEMINI_25_PRO,
        49_336_250,
        "0.02994625",
    ),
    "thoughts missing: sub2api#554": Bug(
        gemini_usage,
        {
            "promptTokenCount": 55_021,
            "candidatesTokenCount": 923,
            "totalTokenCount": 56_729,
            "thoughtsTokenCount": 785,
        },
        GEMINI_25_PRO,
        85_856_250,
        "0.07800625",
    ),
    "cache creation charged twice: litellm#9812": Bug(
        anthropic_usage,
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 12_304,
            "cache_read_input_tokens": 0,
            "output_tokens": 550,
        },
        price("3", "15", "0.3", "3.75"),  # Claude 3.7 Sonnet; its console says 0.05439
        54_399_000,
        "0.091311",
    ),
    "streamed cache reads at the full price: litellm#11789": Bug(
        anthropic_usage,
        {
            "input_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2_455,
            "output_tokens": 23,
        },
        price("0.8", "4", "0.08", "1"),
        291_600,
        "0.002059",
    ),
    "the same call as the gateway passes it on": Bug(
        chat_usage,
        {
            "prompt_tokens": 2_459,
            "completion_tokens": 23,
            "total_tokens": 2_482,
            "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 0},
            "cache_read_input_tokens": 2_455,
            "cache_creation_input_tokens": 0,
        },
        price("0.8", "4", "0.08", "1"),
        291_600,
        "0.002059",
    ),
    "writes and reads told by a gateway cost a tenth: litellm#11364": Bug(
        chat_usage,
        {
            "prompt_tokens": 98_805,
            "completion_tokens": 5_120,
            "total_tokens": 103_925,
            "prompt_tokens_details": {"cached_tokens": 66_360, "cache_creation_tokens": 32_435},
            "completion_tokens_details": {"reasoning_tokens": 1_710},
            "cache_read_input_tokens": 66_360,
            "cache_creation_input_tokens": 32_435,
        },
        price("5", "25", "0.5", "6.25"),  # Claude Opus 4.5
        10 * 5_000 + 66_360 * 500 + 32_435 * 6_250 + 5_120 * 25_000,
        "0.04708",
    ),
    "cached tokens ignored, vLLM: litellm#22984": Bug(
        chat_usage,
        {
            "prompt_tokens": 150_383,
            "completion_tokens": 304,
            "total_tokens": 150_687,
            "prompt_tokens_details": {"text_tokens": None, "cached_tokens": 149_936},
            "completion_tokens_details": {"reasoning_tokens": 15},
        },
        price("1", "4", "0.1"),
        447 * 1_000 + 149_936 * 100 + 304 * 4_000,
        "0.151599",
    ),
    "cached tokens inside the text tokens, xAI: litellm#19772": Bug(
        chat_usage,
        {
            "prompt_tokens": 616,
            "completion_tokens": 1,
            "total_tokens": 617,
            "prompt_tokens_details": {"text_tokens": 616, "cached_tokens": 615, "audio_tokens": 0},
        },
        price("0.2", "0.5", "0.05"),
        1 * 200 + 615 * 50 + 500,
        "0.00015445",  # the cached ones at both prices
    ),
    "cached pictures taken from the text, which goes below zero: litellm#18768": Bug(
        gemini_usage,
        {
            "promptTokenCount": 9_660,
            "cachedContentTokenCount": 9_651,
            "candidatesTokenCount": 10,
            "totalTokenCount": 9_670,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 9_402},
                {"modality": "IMAGE", "tokenCount": 258},
            ],
            "cacheTokensDetails": [
                {"modality": "TEXT", "tokenCount": 9_393},
                {"modality": "IMAGE", "tokenCount": 258},
            ],
        },
        GEMINI_25_PRO,
        9 * 1_250 + 9_651 * 125 + 10 * 10_000,
        "0.000995125",
    ),
    "cached without details of what, so it is not counted: litellm#16341": Bug(
        gemini_usage,
        {
            "promptTokenCount": 9_660,
            "cachedContentTokenCount": 9_651,
            "candidatesTokenCount": 10,
            "totalTokenCount": 9_670,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 9_402},
                {"modality": "IMAGE", "tokenCount": 258},
            ],
        },
        GEMINI_25_PRO,
        9 * 1_250 + 9_651 * 125 + 10 * 10_000,
        "0.012175",
    ),
    "writes outside the breakdown cost nothing: litellm#42663": Bug(
        anthropic_usage,
        {
            "input_tokens": 123_201,
            "cache_read_input_tokens": 426_653,
            "cache_creation_input_tokens": 184_457,
            "cache_creation": {"ephemeral_5m_input_tokens": 31_490, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 0,
        },
        lookup("claude-sonnet-5"),
        123_201 * 3_000 + 426_653 * 300 + 184_457 * 3_750,
        "0.615686",
    ),
    "an hour's write at the price of minutes: litellm#31724": Bug(
        anthropic_usage,
        {
            "input_tokens": 15,
            "cache_creation_input_tokens": 4_803,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 4_803},
            "output_tokens": 47,
        },
        lookup("claude-sonnet-4-6"),
        15 * 3_000 + 4_803 * 6_000 + 47 * 15_000,
        "0.01876125",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_exact_price_of_a_record_that_others_got_wrong(name: str) -> None:
    bug = BUGS[name]
    usage = bug.read(bug.record)
    assert usage is not None and bug.price is not None
    assert usage.cost(bug.price)["usd"] == bug.nano
    assert bug.nano != int(Decimal(bug.wrong) * 10**9)


def test_usage_in_a_last_chunk_with_choices_is_kept() -> None:
    """litellm#36168: dropped and estimated anew without the cache, four times the cost (0.003392 for 0.000847)."""
    usage = {
        "completion_tokens": 2,
        "prompt_tokens": 16_111,
        "total_tokens": 16_113,
        "completion_tokens_details": {"reasoning_tokens": 0},
        "prompt_tokens_details": {"cached_tokens": 15_872},
    }
    chunks = [
        {"id": "1", "choices": [{"index": 0, "delta": {"content": "ok"}}], "usage": None},
        {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {"id": "1", "choices": [{"index": 0, "delta": {}}], "usage": usage},
    ]
    stream = OpenAIChat().stream(ModelCard("m", "openai", "m"))
    for chunk in chunks:
        stream.feed(ServerEvent(json.dumps(chunk)))
    read = stream.last().usage
    assert read is not None
    assert read.cost(price("0.22", "0.44", "0.05"))["usd"] == 847_060


def test_usage_that_grows_from_chunk_to_chunk_is_not_added_up() -> None:
    """litellm#11789 and others summed cumulative counts; the last record is the bill."""
    stream = OpenAIChat().stream(ModelCard("m", "openai", "m"))
    for count in (1, 2, 3):
        usage = {"prompt_tokens": 10, "completion_tokens": count, "total_tokens": 10 + count}
        finish = "stop" if count == 3 else None
        chunk = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": finish}], "usage": usage}
        stream.feed(ServerEvent(json.dumps(chunk)))
    assert stream.last().usage == Usage(10, output_tokens=3)
