"""What a call is worth that may be followed by others: Weitzman's reservation value (Econometrica 47, 1979).

A model will be right with probability p. Its reply will show evidence m of its own, with probability u_m when it
is right and v_m when it is not, after which it is believed with

    q_m = p·u_m / P_m,   P_m = p·u_m + (1 − p)·v_m

The reservation value σ is the belief in an answer in hand at which one is indifferent to a call at the price k:

    Σ_m P_m · max(q_m − σ, 0) = k

Only the evidence that speaks for the reply most can count, so with the kinds in order of falling u_m/v_m, which
does not depend on p, it is the best of a handful of quotients over how many kinds count:

    σ = max_j (p·U_j − k) / (p·U_j + (1 − p)·V_j),   U_j = Σ_{m ≤ j} u_m,   V_j = Σ_{m ≤ j} v_m

Calling in the order of falling σ, and stopping once the best belief in hand is at least every σ left, is the
optimal policy for models whose evidence is independent: what the dynamic program over all subsets of the pool
finds, at the price of a sort.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Likelihoods = Sequence[tuple[float, float]]
"""By kind of evidence: its probability when the reply is right, and when it is wrong; each sums to 1."""


def beliefs(p: float, likelihoods: Likelihoods) -> list[tuple[float, float]]:
    """Return (probability, belief after it) by kind of evidence; the model is right with probability `p`."""
    found = []
    for right, wrong in likelihoods:
        chance = p * right + (1 - p) * wrong
        if chance > 0:
            found.append((chance, p * right / chance))
    return found


def ranked(likelihoods: Likelihoods) -> list[tuple[float, float]]:
    """Return `likelihoods` from what speaks most for a right reply to what speaks least."""
    # u / (u + v) falls as u / v does, and is a number where v is 0
    return sorted(likelihoods, key=lambda pair: -pair[0] / (pair[0] + pair[1]) if sum(pair) else 0.0)


def reservation(p: float, likelihoods: Likelihoods, price: float) -> float:
    """Return σ, at most 1; below 0 when the call is not worth `price` (in quality) even with nothing in hand.

    `likelihoods` are in the order of `ranked`.
    """
    right = chance = 0.0
    sigma = -math.inf
    for given_right, given_wrong in likelihoods:
        right += p * given_right
        chance += p * given_right + (1 - p) * given_wrong
        if chance > 0 and (value := (right - price) / chance) > sigma:
            sigma = value
    return min(sigma, 1.0)
