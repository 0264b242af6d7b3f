"""Stop strings in a stream of text: nothing of a stop string is ever shown, not even its beginning."""

from __future__ import annotations

from collections.abc import Sequence


def partial_match(text: str, needle: str) -> int:
    """Return the length of the longest end of `text` that begins, but does not complete, `needle`."""
    longest = min(len(text), len(needle) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(needle[:n])), 0)


class StopStrings:
    """Cuts a stream of text before the needle that is complete first, holding back what might become one."""

    def __init__(self, needles: Sequence[str]) -> None:
        self._needles = tuple(needle for needle in needles if needle)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take more text; return what is safe to show. After a stop string nothing is."""
        if self.found:
            return ""
        text = self._held + text
        matches = [(at + len(needle), at) for needle in self._needles if (at := text.find(needle)) >= 0]
        if matches:
            self.found, self._held = True, ""
            return text[: min(matches)[1]]
        hold = max((partial_match(text, needle) for needle in self._needles), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def close(self) -> str:
        """Return what was held back, now that no more text comes."""
        text, self._held = self._held, ""
        return text
