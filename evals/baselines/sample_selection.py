"""Which of several sampled programs to hand in, from which of the generated tests each passes.

`passes` has a row for each sample and a column for each test, 1 where the sample passes; the number of a sample is
returned. Samples that pass the same tests are one class.

- `majority`: of the largest class;
- `codet` (CodeT, arXiv 2207.10397): of the class of highest √(samples in it)·(tests it passes);
- `b4` (arXiv 2409.08692): of the class that is most probable if its tests are the right ones and its samples the
  right programs. With n₁ of N samples and m₁ of M tests right, and B the beta function,

      ln B(m₁ + α, M − m₁ + 1) + ln B(n₁ + α, N − n₁ + 1) + ln B(a + 1, ā + 1) + ln B(b + 1, b̄ + β)

  where a (ā) counts wrong samples passing (failing) right tests, and b (b̄) wrong samples on wrong tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Passes = NDArray[np.uint8]
Score = Callable[[Sequence[int], NDArray[np.bool_]], float]

_ALPHA, _BETA = 1e3, 1e4


def majority(passes: Passes) -> int:
    """Return the first sample of the largest class."""
    return _best(passes, lambda rows, tests: float(len(rows)))


def codet(passes: Passes) -> int:
    """Return the first sample of the class of highest consensus."""
    return _best(passes, lambda rows, tests: math.sqrt(len(rows)) * float(tests.sum()))


def b4(passes: Passes) -> int:
    """Return the first sample of the most probable class."""

    def score(rows: Sequence[int], tests: NDArray[np.bool_]) -> float:
        wrong = np.delete(passes, rows, axis=0)
        samples, count, right = len(passes), len(tests), int(tests.sum())
        on_right, on_wrong = wrong[:, tests], wrong[:, ~tests]
        a, b = int(on_right.sum()), int(on_wrong.sum())
        return (
            _log_beta(right + _ALPHA, count - right + 1)
            + _log_beta(len(rows) + _ALPHA, samples - len(rows) + 1)
            + _log_beta(a + 1, on_right.size - a + 1)
            + _log_beta(b + 1, on_wrong.size - b + _BETA)
        )

    return _best(passes, score)


def _best(passes: Passes, score: Score) -> int:
    classes: dict[bytes, list[int]] = {}
    for row, passed in enumerate(passes):
        classes.setdefault(passed.tobytes(), []).append(row)
    ranked = max(classes.values(), key=lambda rows: score(rows, passes[rows[0]] == 1))
    return ranked[0]


def _log_beta(x: float, y: float) -> float:
    return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)
