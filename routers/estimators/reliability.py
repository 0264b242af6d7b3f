"""How far predicted probabilities can be taken at their word.

- Debiased calibration error (Kumar, Liang, Ma, NeurIPS 2019), over 15 bins of equal size:
  √ max(0, Σ_b w_b [(p̄_b − ȳ_b)² − s_b²/n_b]), s_b² the variance of the scores in bin b; without the second term
  a perfectly calibrated predictor has an error too, the more bins the larger.
- Brier skill (Murphy 1973): 1 − Σ(p − y)² / Σ(base − y)²; the base rate is each model's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.table import Floats

BINS = 15
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration and skill of `pairs` predictions; `ece` is the plain error with the bins' bias still in it."""

    pairs: int
    ece: float
    ece_debiased: float
    brier: float
    skill: float
    skill_low: float
    skill_high: float


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
    counts = np.random.default_rng(seed).multinomial(
        len(errors), np.full(len(errors), 1 / len(errors)), _RESAMPLES
    )
    skills = 1 - (counts @ errors) / np.maximum(counts @ reference, 1e-12)
    low, high = np.quantile(skills, [0.025, 0.975])
    skill = 1 - errors.sum() / max(reference.sum(), 1e-12)
    brier = float(((p - y) ** 2).mean())
    debiased = math.sqrt(max(0.0, squares))
    return Reliability(len(p), plain, debiased, brier, float(skill), float(low), float(high))
