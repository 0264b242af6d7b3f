"""Features that the contenders of a fold share: fitted once, and each text turned into numbers once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.table import Floats

_REMEMBERED = 40_000  # texts: a fold of the largest table, twice over


class SharedFeatures:
    """Lexical features that remember the texts they have seen."""

    def __init__(self, lexical: LexicalFeatures) -> None:
        self._lexical = lexical
        self._known: dict[str, Floats] = {}

    def of(self, texts: Sequence[str]) -> Floats:
        """Return the features of `texts`, shape (texts, d)."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        for text in texts:
            if text not in self._known:
                self._known[text] = self._lexical.of([text])[0]
        return np.stack([self._known[text] for text in texts])


@lru_cache(maxsize=1)
def shared_features(texts: tuple[str, ...]) -> SharedFeatures:
    """Return features fitted on `texts`, the same object while the texts are the same."""
    return SharedFeatures(LexicalFeatures.fit(texts))
