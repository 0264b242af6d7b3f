"""What is known of the makers' models: windows, output caps, and what they refuse. As of November 2026."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentkit.types import Capabilities


@dataclass(frozen=True, slots=True)
class Family:
    """Facts of models that are alike; tokens. `image_tokens` is the most that one image is billed as."""

    context_window: int = 128_000
    max_output_tokens: int = 4_096
    capabilities: Capabilities = Capabilities(json_schema=True)
    image_tokens: int | None = None


_TEXT = Capabilities(images=False)
_PLAIN = Capabilities(json_schema=True, logprobs=True)
_THINKS = Capabilities(temperature=False, stop=False, json_schema=True, reasoning_effort=True)
_THINKS_IN_TEXT = Capabilities(
    temperature=False, stop=False, json_schema=True, reasoning_effort=True, images=False
)
_CLAUDE = Capabilities(seed=False, cache_control=True, prefill=True)
_CLAUDE_THINKS = Capabilities(seed=False, cache_control=True, reasoning_effort=True, prefill=True)
_CLAUDE_TODAY = Capabilities(seed=False, cache_control=True, reasoning_effort=True, json_schema=True)
_GEMINI = Capabilities(json_schema=True)
_GEMINI_THINKS = Capabilities(json_schema=True, reasoning_effort=True)

_OPENAI: Sequence[tuple[str, Family]] = (
    (r"gpt-5(\.\d)?-chat", Family(128_000, 16_384, _PLAIN)),
    (r"gpt-5(-|$)", Family(400_000, 128_000, _THINKS, 4_000)),
    (r"gpt-(5\.|[6-9])", Family(400_000, 128_000, _THINKS)),
    (r"o3-mini", Family(200_000, 100_000, _THINKS_IN_TEXT)),
    (r"o[134](-|$)", Family(200_000, 100_000, _THINKS, 4_000)),
    (r"gpt-4\.1", Family(1_047_576, 32_768, _PLAIN, 4_000)),
    (r"gpt-4o-mini", Family(128_000, 16_384, _PLAIN)),
    (r"gpt-4o", Family(128_000, 16_384, _PLAIN, 2_000)),
    (r"gpt-4-turbo", Family(128_000, 4_096, Capabilities(logprobs=True))),
    (r"gpt-4(-|$)", Family(8_192, 4_096, _TEXT)),
    (r"gpt-3\.5", Family(16_385, 4_096, _TEXT)),
)
_ANTHROPIC: Sequence[tuple[str, Family]] = (
    (r"claude-(2|instant)", Family(100_000, 4_096, _TEXT)),
    (r"claude-3-(opus|sonnet|haiku)", Family(200_000, 4_096, _CLAUDE)),
    (r"claude-3-5", Family(200_000, 8_192, _CLAUDE)),
    (r"claude-3-7", Family(200_000, 64_000, _CLAUDE_THINKS)),
    (r"claude-opus-4(-[01])?(-\d{8}|$)", Family(200_000, 32_000, _CLAUDE_THINKS)),
    (r"claude-sonnet-4(-0)?(-\d{8}|$)", Family(200_000, 64_000, _CLAUDE_THINKS)),
    (r"claude-(opus|sonnet)-(4-[6-9]|[5-9])", Family(1_000_000, 64_000, _CLAUDE_TODAY)),
    (r"", Family(200_000, 64_000, _CLAUDE_TODAY)),
)
_GOOGLE: Sequence[tuple[str, Family]] = (
    (r"gemma-3", Family(131_072, 8_192, Capabilities(tools=False, system=False))),
    (r"gemini-(1|2\.0)", Family(1_048_576, 8_192, _GEMINI)),
    (r"", Family(1_048_576, 65_536, _GEMINI_THINKS)),
)
_BY_PROVIDER: Mapping[str, Sequence[tuple[str, Family]]] = {
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "azure": _OPENAI,
    "anthropic": _ANTHROPIC,
    "gemini": _GOOGLE,
}


def family_of(provider: str, model: str) -> Family:
    """Return the family of `model`, also under a gateway's name for it such as `openai/gpt-5-mini`.

    A model of no known family gets cautious defaults.
    """
    name = model.rpartition("/")[2].removeprefix("ft:")
    found = (family for pattern, family in _BY_PROVIDER[provider] if re.match(pattern, name))
    return next(found, Family())
