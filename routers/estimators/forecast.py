"""What training says of queries to come: predictions of a draw of its own, none made by a fit that had seen it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentkit.routers.estimators.table import Floats
from agentkit.routers.shadow_price import WINDOW, Options


@dataclass(frozen=True, slots=True)
class Forecast:
    """Predicted quality and dollars by query and model, shape (queries, models), NaN where there is no choice."""

    quality: NDArray[np.floating[Any]]
    cost: NDArray[np.floating[Any]]

    @classmethod
    def draw(cls, quality: Floats, cost: Floats) -> Forecast:
        """Keep as many queries of `quality` and `cost` as a stream looks back on, as 32-bit floats.

        They are evenly spaced by what the cheapest call costs: a reserve goes by the mean of that, which a draw at
        random gets wrong by a twentieth.
        """
        kept = min(WINDOW, len(cost))
        places = ((np.arange(kept) + 0.5) * len(cost) / kept).astype(np.intp)
        rows = np.argsort(cost.min(axis=1), kind="stable")[places]
        return cls(quality[rows].astype(np.float32), cost[rows].astype(np.float32))

    @classmethod
    def restore(cls, arrays: Mapping[str, Any]) -> Forecast:
        """Build what `dump` took apart; raises KeyError when something is missing."""
        return cls(arrays["forecast.quality"], arrays["forecast.cost"])

    def dump(self) -> dict[str, Any]:
        """Return the arrays by name."""
        named = (("quality", self.quality), ("cost", self.cost))
        return {f"forecast.{name}": np.ascontiguousarray(array) for name, array in named}

    def options(self, models: Sequence[str]) -> list[Options]:
        """Return what each query may cost and how well it is expected to be answered, by the columns' `models`."""
        rows = zip(self.cost.tolist(), self.quality.tolist(), strict=True)
        pairs = [zip(models, zip(*row, strict=True), strict=True) for row in rows]
        return [{model: pair for model, pair in one if math.isfinite(sum(pair))} for one in pairs]
