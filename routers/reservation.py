"""What a call is worth that may be followed by others: Weitzman's reservation value (Econometrica 47, 1979).

A model will be right with probability p. Its reply will show evidence m of its own, with probability u_m when it
is right and v_m when it is not, after which it is believed with

    q_m = p·u_m / P_m,   P_m = p·u_m + (1 − p)·v_m

The reservation value σ is the belief in an answer in hand at which one is indifferent to a call at the price k:

    Σ_m P_m · max(q_m − σ, 0) = k

Calling in the order of falling σ, and stopping once the best belief in hand is at least every σ left, is the
optimal policy for models whose evidence is independent: what the dynamic program over all subsets of the pool
finds, at the price of a sort.
"""

from __future__ import annotations

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


def reservation(p: float, likelihoods: Likelihoods, price: float) -> float:
    """Return σ, at most 1; below 0 when the call is not worth `price` (in quality) even with nothing in hand."""
    chance = value = 0.0
    sigma = 1.0
    # while σ lies between two beliefs only the higher ones count: σ = (Σ P·q − k) / Σ P
    for share, belief in sorted(beliefs(p, likelihoods), key=lambda pair: -pair[1]):
        if chance and sigma >= belief:
            break
        chance, value = chance + share, value + share * belief
        sigma = (value - price) / chance
    return min(sigma, 1.0)
