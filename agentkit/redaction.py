"""Secrets never reach a trace, a cassette, a span or an error: the one place that takes them out of text.

Two kinds are known: values that were given as secrets (`hide`), and texts of a shape that only keys have. What is
found becomes `[redacted]`. Models and tools still get what they are sent; only what is written down is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

REDACTED = "[redacted]"

_LEAST = 8  # characters; anything shorter is a placeholder such as EMPTY, and would redact ordinary words
_OPENING = 4  # characters of a known secret that tell that it may begin here
_LONGEST = 4096  # characters of a secret in the making that are held back
_PAST = 16  # characters that are looked back at, at least as many as an opening has
_PRIVATE_KEY = "-----BEGIN "
_WORD = r"[A-Za-z0-9_\-]"
_SHAPES = {
    # OpenAI, Anthropic, OpenRouter and others; a digit and a long part tell keys from words-with-hyphens
    "sk-": rf"(?={_WORD}*\d){_WORD}*?[A-Za-z0-9_]{{16,}}{_WORD}*",
    "AIza": rf"{_WORD}{{30,}}",
    "AKIA": r"[A-Z0-9]{16}",
    "ASIA": r"[A-Z0-9]{16}",
    "github_pat_": rf"{_WORD}{{20,}}",
    "ghp_": r"[A-Za-z0-9]{20,}",
    "gho_": r"[A-Za-z0-9]{20,}",
    "ghs_": r"[A-Za-z0-9]{20,}",
    "ghu_": r"[A-Za-z0-9]{20,}",
    "glpat-": rf"{_WORD}{{16,}}",
    "gsk_": r"[A-Za-z0-9]{20,}",
    "hf_": r"[A-Za-z0-9]{20,}",
    "npm_": r"[A-Za-z0-9]{30,}",
    "pplx-": r"[A-Za-z0-9]{20,}",
    "pypi-": rf"{_WORD}{{30,}}",
    "r8_": r"[A-Za-z0-9]{20,}",
    "rk_live_": r"[A-Za-z0-9]{16,}",
    "sk_live_": r"[A-Za-z0-9]{16,}",
    "sk_test_": r"[A-Za-z0-9]{16,}",
    "SG.": rf"{_WORD}{{16,}}\.{_WORD}{{16,}}",
    "tvly-": rf"{_WORD}{{16,}}",
    "xai-": r"[A-Za-z0-9]{20,}",
    "xapp-": rf"{_WORD}{{10,}}",
    "xoxb-": rf"{_WORD}{{10,}}",
    "xoxp-": rf"{_WORD}{{10,}}",
    "ya29.": rf"{_WORD}{{20,}}",
    "eyJ": rf"{_WORD}{{8,}}\.{_WORD}{{8,}}\.{_WORD}*",  # JSON web tokens
    "Bearer ": r"(?=\S*\d)[A-Za-z0-9._~+/=\-]{16,}",
    "://": r"[^\s/:@\"']+:[^\s/@\"']+@",  # user and password of an address
    _PRIVATE_KEY: r"[A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
}
"""How the keys of well-known services begin, and what follows."""

_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:auth[a-z]*|cookie|credentials?|[a-z]*key|pass[a-z]*|secret|token)(?:$|[_-])", re.IGNORECASE
)
_BLANK = re.compile(r"[^!-~]")
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{16,}")


class _Patterns:
    """What to look for; made anew when a secret becomes known, and compiled when a text is looked at."""

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self._openings = sorted({*_SHAPES, *(secret[:_OPENING] for secret in known)})

    @cached_property
    def hint(self) -> re.Pattern[str]:
        """Finds out fast that a text has no secret, which is so for most."""
        return re.compile("|".join(map(_by_rarest, self._openings)))

    @cached_property
    def opening(self) -> re.Pattern[str]:
        """Finds where a secret may begin."""
        return re.compile("|".join(map(re.escape, self._openings)))

    @cached_property
    def secret(self) -> re.Pattern[str]:
        """Finds whole secrets."""
        literal = [re.escape(secret) for secret in sorted(self.known, key=len, reverse=True)]
        shapes = [re.escape(opening) + rest for opening, rest in _SHAPES.items()]
        return re.compile("|".join((*literal, *shapes)), re.DOTALL)


def _by_rarest(opening: str) -> str:
    """A pattern for `opening` that begins with a character that prose seldom has, if there is one at its end."""
    first, last = opening[0], opening[-1]
    if first.islower() and not last.islower():
        return f"{re.escape(last)}(?<={re.escape(opening)})"
    return re.escape(opening)


_SHAPED = _Patterns(frozenset())
_patterns = _SHAPED


def hide(secret: str) -> None:
    """Remember a value that must never be written; placeholders of under eight characters are not secrets."""
    global _patterns
    secret = secret.strip()
    if len(secret) >= _LEAST and secret not in _patterns.known and not _SHAPED.secret.fullmatch(secret):
        _patterns = _Patterns(_patterns.known | {secret})


def hide_named(name: str, value: str) -> None:
    """Remember the value of a header or a variable if its name, or its look, is that of a secret."""
    if _SECRET_NAME.search(name) or _RANDOM.fullmatch(value):
        hide(value.removeprefix("Bearer "))


def redact(text: str) -> str:
    """Return `text` without the secrets in it; the same object if there are none."""
    if _patterns.hint.search(text) is None:
        return text
    return _patterns.secret.sub(REDACTED, text)


def excerpt(text: str, length: int = 200) -> str:
    """Return the beginning of a foreign text for an error message; it is cut after the secrets are out."""
    return redact(text)[:length]


def redact_all(value: Any) -> Any:
    """Return a JSON-like value without the secrets in its texts; the same object if there are none."""
    if isinstance(value, str):
        return value if _patterns.hint.search(value) is None else redact(value)
    if isinstance(value, Mapping):
        pairs = {redact_all(key): redact_all(part) for key, part in value.items()}
        same = all(new is old for new, old in zip(pairs.values(), value.values(), strict=False))
        return value if same and pairs.keys() == value.keys() else pairs
    if isinstance(value, list | tuple):
        parts = [redact_all(part) for part in value]
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else tuple(parts) if isinstance(value, tuple) else parts
    return value


class StreamRedactor:
    """Takes secrets out of a text that comes in pieces, also where a piece ends in the middle of one.

    What begins like a secret is held back until it is clear whether it is one; everything else goes on at once.
    The few characters that tell how a key begins are no secret and may have gone on before.
    """

    def __init__(self) -> None:
        self._past = ""
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be written now."""
        text = self._past + self._held + piece
        if _patterns.hint.search(text) is None:
            start, self._past, self._held = len(self._past), text[-_PAST:], ""
            return text[start:]
        return self._write(text, _settled(text))

    def flush(self) -> str:
        """Return what was held back; nothing more comes."""
        text = self._past + self._held
        return self._write(text, len(text))

    def _write(self, text: str, end: int) -> str:
        start = len(self._past)
        end = max(start, end)
        self._past, self._held = text[max(0, end - _PAST) : end], text[end:]
        return _between(text, start, end)


def _settled(text: str) -> int:
    """Return up to where no further piece can make or lengthen a secret."""
    position = 0
    while (begin := _patterns.opening.search(text, position)) is not None:
        at = begin.start()
        whole = _patterns.secret.match(text, at)
        if whole is not None and whole.end() < len(text):
            position = whole.end()
        elif len(text) - at > _LONGEST or (whole is None and _is_over(text, begin)):
            position = at + 1
        else:
            return at
    return len(text)


def _is_over(text: str, begin: re.Match[str]) -> bool:
    """Tell whether what begins here can no longer become a secret; a blank ends all but a private key."""
    rest = text[begin.start() :]
    if any(secret.startswith(rest) for secret in _patterns.known):
        return False
    return begin[0] not in _SHAPES or (begin[0] != _PRIVATE_KEY and _BLANK.search(rest, len(begin[0])) is not None)


def _between(text: str, start: int, end: int) -> str:
    """Return `text[start:end]` without the secrets, also one that begins before `start`."""
    parts, position = [], start
    for secret in _patterns.secret.finditer(text, 0, end):
        if secret.end() > start:
            parts += [text[position : max(position, secret.start())], REDACTED]
            position = secret.end()
    return "".join((*parts, text[position:end]))
