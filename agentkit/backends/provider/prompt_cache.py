"""What a provider remembers of prompts: which prefixes it has read before, and how a prompt is billed for it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate

from agentkit.backends.provider.face import Part
from agentkit.usage import Usage


class PromptCache:
    """The prefixes seen so far, by model; those below `least` tokens are not worth caching. Nothing expires.

    OpenAI and Gemini cache by themselves and charge for reading only. Anthropic caches up to the blocks that are
    marked, charges for writing, and finds again any prefix that ends with a block which was marked before.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._seen: set[tuple[str, bytes]] = set()

    def read(self, model: str, parts: Sequence[Part], *, only_marked: bool) -> Usage:
        """Return how the prompt is billed, its output still 0, and remember it."""
        lengths = list(accumulate((part.tokens for part in parts), initial=0))
        keys = [(model, key) for key in _prefixes(parts)]
        ends = [end for end in range(1, len(keys)) if lengths[end] >= self._least]
        written = [end for end in ends if parts[end - 1].is_breakpoint] if only_marked else ends
        last = max(written, default=0)
        known = (end for end in ends if end <= last and keys[end] in self._seen)
        read = lengths[max(known, default=0)]
        self._seen.update(keys[end] for end in written)
        to_write = max(0, lengths[last] - read) if only_marked else 0
        return Usage(lengths[-1] - read - to_write, read, to_write)


def _prefixes(parts: Sequence[Part]) -> list[bytes]:
    """Return a digest of every prefix, from none to all of the parts."""
    state = blake2b(digest_size=16)
    digests = [state.digest()]
    for part in parts:
        state.update(len(part.text).to_bytes(8, "big") + part.text.encode("utf-8", "surrogatepass"))
        digests.append(state.digest())
    return digests
