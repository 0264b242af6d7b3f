"""Where the values in a call may come from: the user, or text that anybody could have written.

A model that has read untrusted text may do what that text says, in any disguise: a value need not be copied from
it literally, and a call without arguments can be its doing. So once a run has read any, every later call is
tainted, and a value in it is trusted only if it stands, as it is, in text that is trusted: the user's task, the
instructions, the output of tools declared trustworthy. This is data flow by value with control flow assumed, the
strict reading of CaMeL (arXiv 2503.18813) for a tool loop, where no interpreter sees how the model made a value.

What it cannot see: a value the user named for another purpose ("do not write to eve@example.org") counts as
trusted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


class Provenance:
    """The trusted text of a run, and which untrusted sources it has read (`tainted_by`, oldest first)."""

    def __init__(self, trusted: Iterable[str] = (), tainted_by: Iterable[str] = ()) -> None:
        self.texts: list[str] = []
        self.tainted_by: list[str] = list(tainted_by)
        self._numbers: set[Decimal] = set()
        for text in trusted:
            self.trust(text)

    def trust(self, text: str) -> None:
        """Let the values in `text` be trusted from now on."""
        if plain := _plain(text):
            self.texts.append(plain)
            self._numbers.update(Decimal(found.replace(",", "")) for found in _NUMBER.findall(plain))

    def taint(self, source: str) -> None:
        """Note that text from `source`, which anybody may have written, has been read."""
        if source not in self.tainted_by:
            self.tainted_by.append(source)

    def untrusted(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the paths of the values in `arguments` that do not stand in trusted text, such as `to[0]`."""
        return tuple(path for path, value in _leaves(arguments, "") if not self._is_trusted(value))

    def says(self, words: Iterable[str]) -> bool:
        """Tell whether any of `words` stands in trusted text."""
        return any(self._stands(_plain(word)) for word in words)

    def _is_trusted(self, value: object) -> bool:
        match value:
            case None:
                return True
            case bool():  # either one may be the wish of whoever wrote the text
                return False
            case int() | float():
                return Decimal(str(value)) in self._numbers
            case str():
                plain = _plain(value)
                return not plain or self._stands(plain)
        return False

    def _stands(self, plain: str) -> bool:
        pattern = re.compile(rf"(?<!\w){re.escape(plain)}(?!\w)")
        return any(pattern.search(text) for text in self.texts)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every scalar with its path, and the keys of inner maps, which a model may choose as well."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            here = f"{path}.{key}" if path else str(key)
            if path:
                yield here, key
            yield from _leaves(item, here)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    else:
        yield path, value
