"""A need taken apart: a question that asks for several things names several tools."""

from __future__ import annotations

import re

_SEAM = re.compile(
    r"(?<=[.?!;])\s+|\n+|,\s+and\s+|\b(?:and\s+)?(?:also|then)\b|\band\s+(?=\w+\s+(?:me|my|the|a|an)\b)", re.I
)
_LEAST_WORDS = 3


def parts(need: str) -> tuple[str, ...]:
    """Return the pieces of `need` of three words and more; none where it is one piece."""
    pieces = [piece.strip(" ,;") for piece in _SEAM.split(need) if piece]
    long = tuple(piece for piece in pieces if len(piece.split()) >= _LEAST_WORDS)
    return long if len(long) > 1 else ()
