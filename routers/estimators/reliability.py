"""How far predicted probabilities can be taken at their word.

- Debiased calibration error (Kumar, Liang, Ma, NeurIPS 2019), over 15 bins of equal size:
  √ max(0, Σ_b w_b [(p̄_b − ȳ_b)² − s_b²/n_b]), s_b² the variance of the scores in bin b; without the second term
  a perfectly calibrated predictor has an error too, the more bins the larger.
- Brier skill (Murphy 1973): 1 − Σ(p − y)² / Σ(base − y)²; the base rate is each model's own. It is not defined
  where base rates make no errors: all answers of a model were right, or all wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.table import Floats

BINS = 15
_RESAMPLES = 500
_LEAST_ERROR = 1e-12  # what rounding leaves of Σ(base − y)² where it is 0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration and skill of `pairs` predictions; `ece` is the plain error with the bins' bias still in it.

    The skill and the ends of its interval are None where it is not defined.
    """

    pairs: int
    ece: float
    ece_debiased: float
    brier: float
    skill: float | None
    skill_low: float | None
    skill_high: float | None

    @property
    def told(self) -> str:
        """The skill, or why there is none, in words."""
        if self.skill is None:
            return "Brier skill not defined: all answers of each model were right, or all wrong"
        return f"Brier skill {self.skill:.3f}"


def reliability(predicted: Floats, base: Floats, scores: Floats, *, seed: int = 0) -> Reliability:
    """Measure predictions (queries, models) against `scores`, NaN where unknown, with `base` the base rates.

    The interval of the skill is 95 % of a bootstrap over queries.
    """
    known = ~np.isnan(scores)
    p, y = predicted[known], scores[known]
    order = np.argsort(p, kind="stable")
    plain = squares = 0.0
    for rows in np.array_split(order, min(BINS, len(order))):
        gap = float(p[rows].mean() - y[rows].mean())
        noise = float(y[rows].var(ddof=1)) / len(rows) if len(rows) > 1 else 0.0
        plain += len(rows) / len(p) * abs(gap)
        squares += len(rows) / len(p) * (gap * gap - noise)
    errors = np.where(known, (predicted - np.nan_to_num(scores)) ** 2, 0.0).sum(axis=1)
    reference = np.where(known, (base - np.nan_to_num(scores)) ** 2, 0.0).sum(axis=1)
    brier, debiased = float(((p - y) ** 2).mean()), math.sqrt(max(0.0, squares))
    if reference.sum() <= _LEAST_ERROR:
        return Reliability(len(p), plain, debiased, brier, None, None, None)
    counts = np.random.default_rng(seed).multinomial(
        len(errors), np.full(len(errors), 1 / len(errors)), _RESAMPLES
    )
    skills = 1 - (counts @ errors) / np.maximum(counts @ reference, _LEAST_ERROR)
    low, high = np.quantile(skills, [0.025, 0.975])
    skill = 1 - errors.sum() / reference.sum()
    return Reliability(len(p), plain, debiased, brier, float(skill), float(low), float(high))
