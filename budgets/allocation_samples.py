"""What one more sample of an answer gains, and when no further sample is worth its price.

Learning How Hard to Think (arXiv 2410.04707): with a chance p that one sample is right, best-of-k is right with
1 − (1 − p)^k, so the k-th sample gains p(1 − p)^(k − 1). TTSPM (arXiv 2505.20522) is the same curve under a
ceiling F: the first N at which one more sample gains at most ε is N* = ⌈ln(ε / Fp) / ln(1 − p)⌉.

Cost-of-pass (arXiv 2504.13359): one attempt's cost over its chance to pass. At the margin it is price / gain, so
samples are worth it while that is at most what a pass costs elsewhere, from a dearer model or a person.

Knapsack RL (arXiv 2509.25849): N rollouts teach something when they disagree, with 1 − p^N − (1 − p)^N, and then
p(1 − p)²; here they tell two systems apart. The first rollout alone teaches nothing: give `least=1`.
"""

from __future__ import annotations

import math
from decimal import Decimal

from agentkit.budgets.allocation import Gain


def best_of_k(chance: float, ceiling: float = 1.0) -> Gain:
    """Return the gain of the k-th sample when each is right with `chance`, and at most `ceiling` is reached."""
    _check(chance)
    return lambda unit: ceiling * chance * (1 - chance) ** (unit - 1)


def best_of_k_after(right: float, wrong: float) -> Gain:
    """Return the gain of the k-th sample for a chance that is known from `right` and `wrong` samples like it.

    The chance is Beta(right, wrong) distributed, with prior counts included: both above 0. The second sample gains
    less than if their ratio were the chance, as a first that fails tells of a hard question; late ones gain more.
    """
    if not (right > 0 and wrong > 0):
        raise ValueError(f"both counts must be above 0, not {right} and {wrong}; add a prior of 1 to each")
    start = _log_beta(right, wrong)
    return lambda unit: math.exp(_log_beta(right + 1, wrong + unit - 1) - start)


def saturation_point(chance: float, epsilon: float, ceiling: float = 1.0) -> int:
    """Return the number of samples after which one more gains at most `epsilon`, above 0."""
    _check(chance)
    if epsilon <= 0:
        raise ValueError(f"epsilon must be above 0, not {epsilon!r}; samples always gain a little")
    if ceiling * chance <= epsilon:
        return 0
    return 1 if chance == 1 else math.ceil(math.log(epsilon / (ceiling * chance)) / math.log1p(-chance))


def rollouts(chance: float) -> Gain:
    """Return the gain of the N-th rollout (Knapsack RL); concave from the second on, so give `least=1`."""
    _check(chance)
    weight = chance * (1 - chance) ** 2

    def gain(unit: int) -> float:
        before = unit - 1
        return weight * (chance**before * (1 - chance) + (1 - chance) ** before * chance) if before else 0.0

    return gain


def cost_of_pass(price: Decimal, chance: float) -> Decimal:
    """Return the expected cost of a right answer when an attempt costs `price` and passes with `chance`."""
    _check(chance)
    return price / Decimal(chance) if chance else Decimal("Infinity")


def break_even(price: Decimal, worth: Decimal) -> float:
    """Return the least gain of a sample at `price` that is worth it when a pass costs `worth` elsewhere.

    It is the `epsilon` of `allocate`: below it the marginal cost-of-pass, price / gain, is above `worth`.
    """
    return float(price / worth)


def _check(chance: float) -> None:
    if not 0 <= chance <= 1:
        raise ValueError(f"a chance lies in 0..1, not at {chance!r}")


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
