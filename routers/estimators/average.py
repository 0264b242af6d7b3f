"""A plain average of heads: each errs in its own way, and three cheap ones together beat each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentkit.routers.estimators.heads import Fit, Head
from agentkit.routers.estimators.table import Floats


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of `heads`, all over the same models."""

    heads: tuple[Any, ...]

    @classmethod
    def of(cls, fits: Sequence[Fit]) -> Fit:
        """Return the average of fitted heads, with the average of what they predicted unseen."""
        return Fit(cls(tuple(fit.head for fit in fits)), np.mean([fit.held_out for fit in fits], axis=0))

    def predict(self, features: Floats) -> Floats:
        """Return the mean of the heads' predictions."""
        mean: Floats = self.each(features).mean(axis=0)
        return mean

    def each(self, features: Floats) -> Floats:
        """Return the predictions by head, shape (heads, queries, models)."""
        heads: tuple[Head, ...] = self.heads
        return np.stack([head.predict(features) for head in heads])
