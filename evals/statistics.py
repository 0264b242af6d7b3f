"""What a bench measured and the intervals around it: a proportion, the median and mean of a sample, an AUROC."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from statistics import fmean, median

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

Interval = tuple[float, float]


def wilson(successes: int, trials: int, z: float = Z_95) -> Interval:
    """Return the Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927).

        (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n),   p = successes/trials, n = trials

    Unlike p ± z·√(p(1 − p)/n) it has a width at 0 and at 1. Raises ValueError without trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials is no proportion")
    p, share = successes / trials, z * z / trials
    centre, spread = p + share / 2, z * math.sqrt(p * (1 - p) / trials + share / trials / 4)
    # the ends are exact at 0 and 1, where rounding would leave a remainder
    low = 0.0 if successes == 0 else (centre - spread) / (1 + share)
    high = 1.0 if successes == trials else (centre + spread) / (1 + share)
    return low, high


def bootstrap_median(sample: Sequence[float], *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """Return the 95 % percentile bootstrap interval of the median (B. Efron, Ann. Statist. 7, 1979).

    Raises ValueError for an empty sample.
    """
    return _bootstrap(median, sample, resamples, seed)


def bootstrap_mean(sample: Sequence[float], *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """Return the 95 % percentile bootstrap interval of the mean; of differences, when they are paired.

    Raises ValueError for an empty sample.
    """
    return _bootstrap(fmean, sample, resamples, seed)


def auroc(marked: Sequence[tuple[float, bool]]) -> float:
    """Return the chance that a right one has a higher value than a wrong one, of (value, right); ties count half.

    Where one kind is missing it is a half.
    """
    right = sum(is_right for _, is_right in marked)
    wrong = len(marked) - right
    below = wins = 0.0
    for _, group in groupby(sorted(marked), key=itemgetter(0)):
        tied = [is_right for _, is_right in group]
        losers = len(tied) - sum(tied)
        wins += sum(tied) * (below + losers / 2)
        below += losers
    return wins / (right * wrong) if right and wrong else 0.5


def bootstrap_auroc(marked: Sequence[tuple[float, bool]], *, resamples: int = 500, seed: int = 0) -> Interval:
    """Return the 95 % percentile bootstrap interval of `auroc`, the right and the wrong ones drawn apart."""
    kinds = [[pair for pair in marked if pair[1] is kind] for kind in (True, False)]
    draw = random.Random(seed)
    drawn = ([pair for kind in kinds for pair in draw.choices(kind, k=len(kind))] for _ in range(resamples))
    return _middle(sorted(map(auroc, drawn)))


def _bootstrap(
    statistic: Callable[[Sequence[float]], float], sample: Sequence[float], resamples: int, seed: int
) -> Interval:
    if not sample:
        raise ValueError("an empty sample has no median and no mean")
    draw = random.Random(seed)
    return _middle(sorted(statistic(draw.choices(sample, k=len(sample))) for _ in range(resamples)))


def _middle(values: Sequence[float]) -> Interval:
    """Return the ends of the middle 95 % of sorted `values`."""
    tail = round(0.025 * len(values))
    return values[tail], values[-tail - 1]
