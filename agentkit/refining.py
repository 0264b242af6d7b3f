"""Refines a proposal until it no longer changes, after the inference of ToolACE-R (arXiv 2504.01400).

The model is shown its own proposal p_i and writes p_(i+1); p* is the first with p_(i+1) ∈ {p_0 … p_i}, so a fixed
point, or a circle whose end nobody would see. What a revision costs is charged where it is made; whoever revises
says with None that there is none: the budget ended, or it cannot be used, and the proposal before it stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

P = TypeVar("P")

Ended = Literal["done", "stable", "rounds", "stopped"]


@dataclass(frozen=True, slots=True)
class Refined(Generic[P]):
    """The proposal that stands, how many revisions were asked for, and why there are no more.

    `ended` is `done` when it was good enough, `stable` when a revision changed nothing, `rounds` at the limit, and
    `stopped` when there was no revision to be had.
    """

    proposal: P
    revisions: int
    ended: Ended


async def refine(
    first: P,
    revise: Callable[[P], Awaitable[P | None]],
    *,
    rounds: int,
    is_done: Callable[[P], bool] = lambda proposal: False,
) -> Refined[P]:
    """Revise `first` at most `rounds` times, until it is done or no longer changes; proposals compare by ==."""
    seen = [first]
    for revisions in range(rounds):
        if is_done(seen[-1]):
            return Refined(seen[-1], revisions, "done")
        revised = await revise(seen[-1])
        if revised is None:
            return Refined(seen[-1], revisions + 1, "stopped")
        if revised in seen:
            return Refined(seen[-1], revisions + 1, "stable")
        seen.append(revised)
    return Refined(seen[-1], rounds, "done" if is_done(seen[-1]) else "rounds")
