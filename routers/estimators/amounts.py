"""What a call will use: output tokens, input tokens, dollars and seconds, by model, from the query's features.

Ridge regression on the logarithm, since lengths are log-normal, taken back with a smearing factor (Duan, JASA
1983):

    â(x) = s · (exp(x·β + b) − 1),   s = Σ a_i / Σ (exp(x_i·β + b) − 1)

with the held-out predictions in the sum, and kept within what was seen. Without the factor a mean is
underestimated by a third where lengths vary much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentkit.routers.estimators.linear import ridge
from agentkit.routers.estimators.table import Floats


@dataclass(frozen=True, slots=True)
class Amount:
    """Coefficients (d, models) and, by model, intercept, smearing, least and most seen; NaN where unseen."""

    coefficients: Floats
    intercept: Floats
    smearing: Floats
    least: Floats
    most: Floats

    @classmethod
    def fit(cls, features: Floats, amounts: Floats) -> AmountFit | None:
        """Fit on `amounts`, shape (queries, models), NaN where unknown; None when all are."""
        known = ~np.isnan(amounts)
        if not known.any():
            return None
        seen = known.any(axis=0)
        logs = np.where(known, np.log1p(np.where(known, amounts, 0.0)), np.nan)
        mean = np.where(seen, np.nansum(logs, axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
        coefficients, intercept, held_out = ridge(features, np.where(known, logs - mean, 0.0))
        predicted = np.where(known, np.expm1(held_out + mean), 0.0).sum(axis=0)
        total = np.where(known, amounts, 0.0).sum(axis=0)
        smearing = np.where(predicted > 0, total / np.where(predicted > 0, predicted, 1.0), 1.0)
        least = np.where(known, amounts, np.inf).min(axis=0)
        most = np.where(known, amounts, -np.inf).max(axis=0)
        smearing = np.where(seen, smearing, np.nan)
        unseen = np.clip(smearing * np.expm1(held_out + mean), least, most)
        return AmountFit(cls(coefficients, intercept + mean, smearing, least, most), unseen)

    def predict(self, features: Floats) -> Floats:
        """Return the expected amounts, shape (queries, models); NaN for a model that was never seen."""
        logs = np.minimum(features @ self.coefficients + self.intercept, 40.0)
        amounts: Floats = np.clip(self.smearing * np.expm1(logs), self.least, self.most)
        return amounts


class AmountFit(NamedTuple):
    """A fitted amount, and its predictions on the training queries, none made by a fit that had seen the query."""

    amount: Amount
    held_out: Floats
