"""First fit: the online composer without its threshold, whatever helped in its trials and fits is bought."""

from __future__ import annotations

from agentkit.evals.baselines.composers.zcl import Zcl


class FirstFit(Zcl):
    """Buys the first candidate of a skill of which both trials helped."""

    def __init__(self) -> None:
        super().__init__(all, threshold=False)
