"""Admission policies: with which output cap a call may leave now, whether it waits, or whether it is refused.

A policy is a rule over what the ledger shows and what was seen so far; it neither reserves nor sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from agentkit.budgets.length import OutputLengths

CAP = 4_096
"""Output tokens that every call wants to be allowed."""
LEAST = 16
"""Output tokens; an answer under a smaller cap is not worth its prompt."""
KIND: Final = "call"

WAIT: Final = "wait"
REFUSE: Final = "refuse"
Decision = int | Literal["wait", "refuse"]
"""The output cap to send, or what else becomes of the call for now."""


Cap = Literal["wanted", "likely", "likely unless metered"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that wants to leave: the tokens of its prompt, and how many of its reply were made before."""

    prompt: int
    made: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for a call: tokens that a new hold could take, whether no other call is under way, and whether
    the provider's stream tells its bill."""

    available: int
    alone: bool
    metered: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """How calls are admitted under one limit on tokens.

    `holds` is what is held for a reply: nothing, the mean of earlier replies, or the cap that is sent. `first` is
    the cap a call asks for at first: the wanted one, the likely one, which is the `quantile` of earlier lengths,
    or the likely one unless the call is metered. `crowded`, in the same words, is the cap that is sent while
    others are under way and the wanted one does not fit. `clamps` sends what is left to a call that is alone. A
    cut reply `continues` under a new hold; the hold of a metered call `extends` before. `gate` is how many typical
    calls a new one leaves room for where it may be sent the likely cap.
    """

    holds: Literal["nothing", "mean", "cap"] = "cap"
    first: Cap = "wanted"
    quantile: float | None = None
    crowded: Cap = "wanted"
    clamps: bool = True
    continues: bool = False
    extends: bool = False
    gate: float = 0.0

    def held(self, ask: Ask, cap: int, mean: int) -> int:
        """Return the tokens to hold for a call under `cap`."""
        if self.holds == "nothing":
            return 0
        return ask.prompt + (cap if self.holds == "cap" else min(cap, mean))

    def decide(self, ask: Ask, room: Room, lengths: OutputLengths, mean: int) -> Decision:
        """Return what becomes of the call now; a call that is alone never waits."""
        wanted = CAP - ask.made
        if self.holds == "nothing":
            return wanted if room.available > 0 else REFUSE
        likely = max(LEAST, lengths.likely(KIND, wanted))
        cap = likely if _is_likely(self.first, room) and not ask.made else wanted
        cuts = _is_likely(self.crowded, room)  # whole caps cut nothing that room would have to be kept for
        gated = cuts and not (room.alone or ask.made)
        kept = self.gate * (ask.prompt + lengths.typical(KIND, wanted)) if gated else 0
        if self.held(ask, cap, mean) <= room.available - kept:
            return cap
        if room.alone:
            left = room.available - ask.prompt
            return min(cap, left) if self.clamps and left >= LEAST else REFUSE
        if cuts and self.held(ask, likely, mean) <= room.available - kept:
            return likely
        return WAIT


def _is_likely(cap: Cap, room: Room) -> bool:
    return cap == "likely" or (cap == "likely unless metered" and not room.metered)


QUANTILE = 0.995
"""Of reply lengths: a token of cap that is not used costs less than a prompt that is sent again."""
LIKELY = Policy(quantile=QUANTILE, crowded="likely", continues=True, gate=1.0)
"""The likely cap beside others, on every backend."""
DEFAULT = replace(LIKELY, crowded="likely unless metered")

POLICIES: Mapping[str, Policy] = {
    "agentkit": DEFAULT,
    "check_afterwards": Policy(holds="nothing"),
    "hold_mean": Policy(holds="mean", clamps=False),
    "hold_worst_case": Policy(clamps=False),
    "hold_worst_case_clamp": Policy(),
    "cap_p95": Policy(first="likely", quantile=0.95, continues=True),
    "agentkit_likely": LIKELY,
    "agentkit_p95": replace(LIKELY, quantile=0.95),
    "agentkit_no_gate": replace(LIKELY, gate=0.0),
    "agentkit_likely_unless_metered": replace(LIKELY, first="likely unless metered"),
    "agentkit_extend": replace(LIKELY, extends=True),
}
"""The default (`executor/admission.py`), what others do, and variants of the default; `check_afterwards` is what
frameworks do that count after each call."""
