"""Usage records of four interfaces: the parts are disjoint, and never below the bill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.usage_records import anthropic_usage, chat_usage, gemini_usage, responses_usage
from agentkit.usage import Usage

Reader = Callable[[Mapping[str, Any] | None], Usage | None]
READERS: dict[str, Reader] = {
    "chat": chat_usage,
    "responses": responses_usage,
    "anthropic": anthropic_usage,
    "gemini": gemini_usage,
}

CASES: dict[str, tuple[str, dict[str, Any], Usage | None]] = {
    "chat, everything": (
        "chat",
        {
            "prompt_tokens": 100,
            "completion_tokens": 40,
            "total_tokens": 140,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20, "image_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 25},
        },
        Usage(15, 60, 20, 15, 25, image_tokens=5),
    ),
    "chat, reasoning beside the output": (
        "chat",
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 40,
            "completion_tokens_details": {"reasoning_tokens": 25},
        },
        Usage(10, output_tokens=5, reasoning_tokens=25),
    ),
    "chat, DeepSeek": (
        "chat",
        {
            "prompt_tokens": 50,
            "completion_tokens": 2,
            "prompt_cache_hit_tokens": 30,
            "prompt_cache_miss_tokens": 20,
        },
        Usage(20, 30, 0, 2),
    ),
    "chat, Moonshot": (
        "chat",
        {"prompt_tokens": 50, "completion_tokens": 2, "cached_tokens": 30},
        Usage(20, 30, 0, 2),
    ),
    "chat, through a gateway from Anthropic": (
        "chat",
        {
            "prompt_tokens": 98_805,
            "completion_tokens": 5_120,
            "prompt_tokens_details": {"cached_tokens": 66_360, "cache_creation_tokens": 32_435},
            "cache_read_input_tokens": 66_360,
            "cache_creation_input_tokens": 32_435,
        },
        Usage(10, 66_360, 32_435, 5_120),
    ),
    "chat, more cached than there is": (
        "chat",
        {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
        Usage(0, 5, 0, 2),
    ),
    "chat, placeholder": ("chat", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "responses, everything": (
        "responses",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 25},
            "total_tokens": 140,
        },
        Usage(10, 60, 30, 15, 25),
    ),
    "responses, without details": ("responses", {"input_tokens": 5, "output_tokens": 2}, Usage(5, 0, 0, 2)),
    "anthropic, everything": (
        "anthropic",
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "cache_read_input_tokens": 40,
            "output_tokens": 25,
            "output_tokens_details": {"thinking_tokens": 15},
            "service_tier": "standard",
        },
        Usage(10, 40, 20, 10, 15, cache_write_1h_tokens=30, service_tier="standard"),
    ),
    "anthropic, kept within the United States": (
        "anthropic",
        {"input_tokens": 10, "output_tokens": 5, "service_tier": "standard", "inference_geo": "us"},
        Usage(10, 0, 0, 5, service_tier="us"),
    ),
    "anthropic, kept anywhere": (
        "anthropic",
        {"input_tokens": 10, "output_tokens": 5, "service_tier": "batch", "inference_geo": "global"},
        Usage(10, 0, 0, 5, service_tier="batch"),
    ),
    "anthropic, the sum of writes is missing": (
        "anthropic",
        {
            "input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "output_tokens": 1,
        },
        Usage(10, 0, 20, 1, cache_write_1h_tokens=30),
    ),
    "anthropic, everything from the cache": (
        "anthropic",
        {"input_tokens": 0, "cache_read_input_tokens": 40, "output_tokens": 1},
        Usage(0, 40, 0, 1),
    ),
    "anthropic, placeholder": ("anthropic", {"input_tokens": 0, "output_tokens": 0}, None),
    "anthropic, half a record": ("anthropic", {"output_tokens": 20}, None),
    "gemini, everything": (
        "gemini",
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": 15,
            "thoughtsTokenCount": 25,
            "toolUsePromptTokenCount": 7,
            "totalTokenCount": 147,
            "trafficType": "ON_DEMAND",
        },
        Usage(40, 60, 0, 15, 25, tool_input_tokens=7, service_tier="on_demand"),
    ),
    "gemini, all output was thought": (
        "gemini",
        {"promptTokenCount": 8, "thoughtsTokenCount": 100, "totalTokenCount": 108},
        Usage(8, output_tokens=0, reasoning_tokens=100),
    ),
    "gemini, thoughts inside the answer": (
        "gemini",
        {"promptTokenCount": 8, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 38},
        Usage(8, output_tokens=10, reasoning_tokens=20),
    ),
    "gemini, a total that leaves thoughts out": (
        "gemini",
        {"promptTokenCount": 8, "candidatesTokenCount": 10, "thoughtsTokenCount": 20, "totalTokenCount": 18},
        Usage(8, output_tokens=10, reasoning_tokens=20),
    ),
    "gemini, pictures": (
        "gemini",
        {
            "promptTokenCount": 600,
            "cachedContentTokenCount": 200,
            "candidatesTokenCount": 5,
            "totalTokenCount": 605,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 84},
                {"modality": "IMAGE", "tokenCount": 258},
                {"modality": "IMAGE", "tokenCount": 258},
            ],
            "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 200}],
        },
        Usage(84, 200, 0, 5, image_tokens=316),
    ),
    "gemini, the prompt was blocked": (
        "gemini",
        {"promptTokenCount": 8, "totalTokenCount": 8},
        Usage(8),
    ),
    "gemini, half a record": ("gemini", {"promptTokenCount": 8}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_record_is_read(name: str) -> None:
    dialect, record, expected = CASES[name]
    usage = READERS[dialect](record)
    assert usage == expected
    assert usage is None or usage.raw == record


def test_the_tier_stands_beside_openais_records() -> None:
    record = {"prompt_tokens": 5, "completion_tokens": 1, "input_tokens": 5, "output_tokens": 1}
    for usage in (
        chat_usage(record, "flex"),
        responses_usage(record, "flex"),
        chat_usage({**record, "service_tier": "Flex"}),
    ):
        assert usage is not None and usage.service_tier == "flex"


# ---------------------------------------------------------------- whatever is sent
NAMES = sorted({key for _, record, _ in CASES.values() for key in record} | {"total_tokens", "service_tier"})
NUMBERS = st.integers(-5, 10**13) | st.floats() | st.booleans() | st.none() | st.text(max_size=3)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "ephemeral_1h_input_tokens"]), NUMBERS
)
RECORDS = st.none() | st.dictionaries(st.sampled_from(NAMES), NUMBERS | DETAILS | st.lists(DETAILS, max_size=2))


@pytest.mark.parametrize("dialect", READERS)
@given(record=RECORDS)
def test_any_record_gives_disjoint_parts_or_nothing(dialect: str, record: dict[str, Any] | None) -> None:
    usage = READERS[dialect](record)
    if usage is None:
        return
    parts = [getattr(usage, name) for name in Usage.__dataclass_fields__ if name.endswith("_tokens")]
    assert all(type(part) is int and part >= 0 for part in parts)
    assert record is not None
    prompt = record.get("promptTokenCount" if dialect == "gemini" else "prompt_tokens")
    if dialect in ("chat", "gemini"):
        assert usage.total_input - usage.tool_input_tokens == prompt


COUNTS = st.integers(0, 10**6)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_same_call_reads_alike_in_every_interface(
    new: int, read: int, written: int, said: int, thought: int
) -> None:
    new += 1
    expected = Usage(new, read, written, said, thought)
    prompt, output = new + read + written, said + thought
    details = {"cached_tokens": read, "cache_write_tokens": written}, {"reasoning_tokens": thought}
    assert (
        chat_usage(
            {
                "prompt_tokens": prompt,
                "completion_tokens": output,
                "total_tokens": prompt + output,
                "prompt_tokens_details": details[0],
                "completion_tokens_details": details[1],
            }
        )
        == expected
    )
    assert (
        responses_usage(
            {
                "input_tokens": prompt,
                "output_tokens": output,
                "input_tokens_details": details[0],
                "output_tokens_details": details[1],
            }
        )
        == expected
    )
    assert (
        anthropic_usage(
            {
                "input_tokens": new,
                "cache_read_input_tokens": read,
                "cache_creation_input_tokens": written,
                "output_tokens": output,
                "output_tokens_details": {"thinking_tokens": thought},
            }
        )
        == expected
    )
    assert gemini_usage(
        {
            "promptTokenCount": new + read,
            "cachedContentTokenCount": read,
            "candidatesTokenCount": said,
            "thoughtsTokenCount": thought,
            "totalTokenCount": new + read + output,
        }
    ) == Usage(new, read, 0, said, thought)
