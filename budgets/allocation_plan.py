"""What one more token gains a step of a plan: Plan-and-Budget (arXiv 2505.16122).

BAM, its model: a sub-question of complexity c leaves the uncertainty c / b^β after b tokens. The least sum under
Σ b_j = B has equal marginal gains β_j c_j / b_j^(β_j + 1) = λ, hence b_j = (β_j c_j / λ)^(1 / (β_j + 1)).

Its released form splits by weights instead: tokens in proportion to credit · schedule, where the schedule favours
early steps. That is the optimum of Σ w_j ln(1 + b_j), so the same allocator serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from agentkit.budgets.allocation import Gain

Schedule = Literal["constant", "linear", "polynomial", "exponential", "cosine"]

_SCHEDULES: Mapping[Schedule, Callable[[int, int], float]] = {
    "constant": lambda place, count: 1.0,
    "linear": lambda place, count: float(count - place),
    "polynomial": lambda place, count: float(count - place) ** 2,
    "exponential": lambda place, count: 0.9**place,
    "cosine": lambda place, count: 0.5 * (1 + math.cos(math.pi * place / max(1, count - 1))) + 0.1,
}


def uncertainty(complexity: float, decay: float = 1.0) -> Gain:
    """Return the gain c(1 / (k − 1)^β − 1 / k^β) of BAM; the first token's is infinite, so each step gets one."""
    if not (complexity > 0 and decay > 0):
        raise ValueError(f"complexity and decay must be above 0, not {complexity!r} and {decay!r}")

    def gain(unit: int) -> float:
        return complexity * ((unit - 1) ** -decay - unit**-decay) if unit > 1 else math.inf

    return gain


def weighted(credits: Sequence[float], schedule: Schedule = "constant") -> list[Gain]:
    """Return the gains under which steps get tokens in proportion to credit · schedule, in the plan's order."""
    if not all(credit > 0 for credit in credits):
        raise ValueError(f"every step needs credits above 0, not {list(credits)}; leave out steps without any")
    weigh, count = _SCHEDULES[schedule], len(credits)
    return [_weighted(credit * weigh(place, count)) for place, credit in enumerate(credits)]


def _weighted(weight: float) -> Gain:
    return lambda unit: weight * math.log1p(1 / unit)
