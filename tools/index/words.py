"""Words as a lexical search compares them: lower case, without the commonest, endings cut."""

from __future__ import annotations

import re

from agentkit.tools.index.document import spelled

_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    "a about also am an and any are as at be but by can could did do does for from had has have how i if "
    "in into is it its let like me my need of on or our please should so some that the their them there "
    "these they this those to us want was we were what when where which who will with would you your".split()
)
_ENDINGS = ("ing", "ies", "ed", "es", "s")
_LEAST_STEM = 3


def words(text: str) -> list[str]:
    """Return the words of `text` in order, without common ones, each cut to its stem."""
    return [_stem(word) for word in _WORD.findall(spelled(text).lower()) if word not in _COMMON]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    return word.removesuffix("e") if len(word) > _LEAST_STEM else word
