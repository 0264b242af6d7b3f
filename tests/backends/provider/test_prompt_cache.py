"""Prompts that begin alike are billed as each provider bills them, and the usage records say so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.provider import Provider
from agentkit.backends.provider.face import Part
from agentkit.backends.provider.prompt_cache import PromptCache
from agentkit.usage import Usage
from tests.backends.provider.plain import post

A, B, C = Part("one two three"), Part("four five"), Part("six")
MARKED = Part("four five", is_breakpoint=True)


def test_a_prefix_seen_before_is_read_from_the_cache() -> None:
    cache = PromptCache(least=2)
    assert cache.read("m", (A, B), only_marked=False) == Usage(5)
    assert cache.read("m", (A, B, C), only_marked=False) == Usage(1, cache_read_tokens=5)
    assert cache.read("m", (A, C), only_marked=False) == Usage(1, cache_read_tokens=3)
    assert cache.read("m", (C, A), only_marked=False) == Usage(4)
    assert cache.read("other", (A, B), only_marked=False) == Usage(5)


def test_short_prefixes_are_not_cached() -> None:
    cache = PromptCache(least=4)
    for _ in range(2):
        assert cache.read("m", (A,), only_marked=False) == Usage(3)
    for marked in (MARKED, MARKED):
        assert cache.read("m", (marked, C), only_marked=True) == Usage(3)


def test_marks_are_written_once_and_read_after() -> None:
    cache = PromptCache(least=2)
    assert cache.read("m", (A, MARKED, C), only_marked=True) == Usage(1, cache_write_tokens=5)
    assert cache.read("m", (A, MARKED, C), only_marked=True) == Usage(1, cache_read_tokens=5)
    assert cache.read("m", (A, B, C), only_marked=True) == Usage(6), "nothing is marked"
    longer = (A, B, Part("six", is_breakpoint=True), C)
    assert cache.read("m", longer, only_marked=True) == Usage(1, 5, 1), "an earlier mark is found again"


@given(
    st.lists(st.lists(st.builds(Part, st.sampled_from(["a b", "c", ""]), st.booleans()), max_size=6)),
    st.booleans(),
)
def test_every_token_is_billed_once(prompts: list[list[Part]], only_marked: bool) -> None:
    cache = PromptCache(least=2)
    for parts in prompts:
        usage = cache.read("m", parts, only_marked=only_marked)
        assert usage.total_input == sum(part.tokens for part in parts)
        assert min(usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) >= 0
        again = cache.read("m", parts, only_marked=only_marked)
        assert again.cache_write_tokens == 0
        assert again.cache_read_tokens == usage.cache_read_tokens + usage.cache_write_tokens or not only_marked


TURN: dict[str, Any] = {"role": "user", "content": "one two three four"}


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        ("/v1/chat/completions", {"messages": [TURN]}, ("usage", "prompt_tokens_details", "cached_tokens")),
        ("/v1/responses", {"input": [TURN]}, ("usage", "input_tokens_details", "cached_tokens")),
        (
            "/v1/messages",
            {
                "max_tokens": 9,
                "messages": [TURN],
                "system": [{"type": "text", "text": "a b c", "cache_control": {"type": "ephemeral"}}],
            },
            ("usage", "cache_read_input_tokens"),
        ),
        (
            "/v1beta/models/m:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]},
            ("usageMetadata", "cachedContentTokenCount"),
        ),
    ],
)
def test_the_second_call_is_cheaper_and_says_so(path: str, body: dict[str, Any], read: tuple[str, ...]) -> None:
    with Provider("ok", cache_from=2) as provider:
        for _ in range(2):
            said: Any = post(provider, path, {"model": "m", **body})
    for name in read:
        said = said[name]
    first, second = provider.bill
    assert said == second.usage.cache_read_tokens > 0
    assert second.nano_usd < first.nano_usd
    assert second.usage.total_input == first.usage.total_input
