"""Providers' usage records, each read into one normalised `Usage`.

Every function returns None for a record that cannot be believed, so that the full hold is charged, and never a
usage below the bill. A record that comes again, as in streams, replaces the one before it: nothing is added up.
What each provider counts in which number is its dialect's most expensive detail:

    provider          prompt count                     output count
    chat, responses   with cached and written tokens   with reasoning (some servers: without; the total tells)
    Anthropic         without cached and written       with thinking
    Gemini            with cached, without tool input  without thoughts (some servers: with; the total tells)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agentkit.usage import Usage

Record = Mapping[str, Any]

_MAX_TOKENS = 10**12


def chat_usage(record: Record | None, service_tier: str | None = None) -> Usage | None:
    """Read the usage of an OpenAI chat completion, or of one of the many servers that speak like it.

    `service_tier` stands beside the record in the answer. A prompt of zero tokens is a placeholder.
    """
    names = _Names("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
    return _openai_usage(record, names, service_tier)


def responses_usage(record: Record | None, service_tier: str | None = None) -> Usage | None:
    """Read the usage of an OpenAI response; `service_tier` stands beside the record in the response."""
    names = _Names("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
    return _openai_usage(record, names, service_tier)


def anthropic_usage(record: Record | None) -> Usage | None:
    """Read the usage of an Anthropic message; in streams, `message_start`'s overwritten by `message_delta`'s.

    The written tokens come as a sum and, from newer versions, by how long they are kept as well. Work kept within
    the United States is dearer, so it counts as a service tier, "us".
    """
    uncached, output = _count(record, "input_tokens"), _count(record, "output_tokens")
    if record is None or uncached is None or output is None:
        return None
    read = _count(record, "cache_read_input_tokens") or 0
    parts = _part(record, "cache_creation")
    hour = _count(parts, "ephemeral_1h_input_tokens") or 0
    minutes = _count(parts, "ephemeral_5m_input_tokens") or 0
    written = max(_count(record, "cache_creation_input_tokens") or 0, minutes + hour)
    if uncached + read + written == 0:
        return None
    reasoning = min(_count(_part(record, "output_tokens_details"), "thinking_tokens") or 0, output)
    return Usage(
        uncached,
        read,
        written - hour,
        output - reasoning,
        reasoning,
        cache_write_1h_tokens=hour,
        service_tier=_tier("us" if record.get("inference_geo") == "us" else record.get("service_tier")),
        raw=record,
    )


def gemini_usage(record: Record | None) -> Usage | None:
    """Read Gemini's `usageMetadata`; counts of zero are left out there, so an absent one is zero."""
    prompt, total = _count(record, "promptTokenCount"), _count(record, "totalTokenCount")
    answer, thoughts = _count(record, "candidatesTokenCount"), _count(record, "thoughtsTokenCount") or 0
    if record is None or not prompt or (answer is None and total is None):
        return None
    tool_input, answer = _count(record, "toolUsePromptTokenCount") or 0, answer or 0
    rest = max(0, (total or 0) - prompt - tool_input)
    inside = rest == answer >= thoughts  # the total says that the answer's count has the thoughts in it
    output = answer if inside else max(answer + thoughts, rest)
    read = min(_count(record, "cachedContentTokenCount") or 0, prompt)
    pictures = _of_modality(record, "promptTokensDetails") - _of_modality(record, "cacheTokensDetails")
    images = min(max(0, pictures), prompt - read)
    reasoning = min(thoughts, output)
    return Usage(
        prompt - read - images,
        read,
        output_tokens=output - reasoning,
        reasoning_tokens=reasoning,
        tool_input_tokens=tool_input,
        image_tokens=images,
        service_tier=_tier(record.get("trafficType")),
        raw=record,
    )


class _Names(NamedTuple):
    """What the two OpenAI interfaces call the same numbers."""

    prompt: str
    output: str
    prompt_details: str
    output_details: str


def _openai_usage(record: Record | None, names: _Names, service_tier: str | None) -> Usage | None:
    """Read a record whose prompt includes cached tokens and whose output should include reasoning.

    Servers that leave reasoning out of the output give themselves away by the total.
    """
    prompt, output = _count(record, names.prompt), _count(record, names.output)
    if record is None or not prompt or output is None:
        return None
    details = _part(record, names.prompt_details)
    # servers say it in the details, beside the other counts, or in both places and only one of them truly
    cached = _most(record, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
    read = min(max(_count(details, "cached_tokens") or 0, cached), prompt)
    written = _most(details, "cache_write_tokens", "cache_creation_tokens")
    write = min(max(_count(record, "cache_creation_input_tokens") or 0, written), prompt - read)
    images = min(_count(details, "image_tokens") or 0, prompt - read - write)
    output = max(output, (_count(record, "total_tokens") or 0) - prompt)
    reasoning = min(_count(_part(record, names.output_details), "reasoning_tokens") or 0, output)
    return Usage(
        prompt - read - write - images,
        read,
        write,
        output - reasoning,
        reasoning,
        image_tokens=images,
        service_tier=_tier(service_tier or record.get("service_tier")),
        raw=record,
    )


def _count(record: Record | None, name: str) -> int | None:
    value = record.get(name) if record else None
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _part(record: Record, name: str) -> Record | None:
    part = record.get(name)
    return part if isinstance(part, Mapping) else None


def _most(record: Record | None, *names: str) -> int:
    return max(_count(record, name) or 0 for name in names)


def _of_modality(record: Record, name: str) -> int:
    """Return how many tokens of pictures the list `name` has."""
    entries = record.get(name)
    of_images = (
        _count(entry, "tokenCount") or 0
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and entry.get("modality") == "IMAGE"
    )
    return sum(of_images)


def _tier(name: object) -> str:
    return name.lower() if isinstance(name, str) else ""
