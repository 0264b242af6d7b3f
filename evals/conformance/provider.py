"""The provider of the conformance cases: it plays a script, and keeps the bill that every case is judged by.

It knows no framework. An adapter's model hands each call to `reply`, with the output cap that the framework sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import anyio

PROMPT_TOKENS = 10
"""What each call bills for its input, whatever is written into it; a framework may know that beforehand."""
LATENCY = 0.05
"""Seconds from a call to its reply."""


class ProviderDown(Exception):
    """The connection broke before the reply came; what the provider had made is billed all the same."""


@dataclass(frozen=True, slots=True)
class Child:
    """One child agent, which needs one reply of `length` tokens and asks for at most `cap`.

    Its first `failures` calls break, after they were billed. `lost_record` leaves the usage out of its reply, and
    `hangs_up` cancels it while its call is under way.
    """

    number: int
    length: int = 400
    cap: int = 400
    failures: int = 0
    lost_record: bool = False
    hangs_up: bool = False


class Billed(NamedTuple):
    """A line of the bill: whose call it was and its tokens, input and output."""

    child: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its text, whether it is whole or was cut at the cap, and its usage unless the record was lost."""

    text: str
    whole: bool
    has_usage: bool
    input_tokens: int
    output_tokens: int


class Provider:
    """Bills a call when it arrives, to its end: hanging up saves nothing.

    `bill` lists the calls in their order and `whole` counts the replies that came through uncut. Whoever runs a
    child that hangs up leaves its cancel scope in `callers`.
    """

    def __init__(self) -> None:
        self.bill: list[Billed] = []
        self.whole = 0
        self.callers: dict[int, anyio.CancelScope] = {}
        self._calls: Counter[int] = Counter()

    async def reply(self, child: Child, cap: int | None) -> Reply:
        """Answer the child's call under the output cap that was sent, if any; raises ProviderDown."""
        length = child.length if cap is None else min(child.length, cap)
        self.bill.append(Billed(child.number, PROMPT_TOKENS + length))
        self._calls[child.number] += 1
        if child.hangs_up:
            self.callers[child.number].cancel()
        await anyio.sleep(LATENCY)
        if self._calls[child.number] <= child.failures:
            raise ProviderDown("the connection broke before the reply")
        is_whole = length == child.length
        self.whole += is_whole
        return Reply("Done.", is_whole, not child.lost_record, PROMPT_TOKENS, length)

    def billed(self, children: Collection[Child] | None = None) -> tuple[int, int]:
        """Return the tokens and the calls on the bill, of some children or of all."""
        numbers = None if children is None else {child.number for child in children}
        tokens = [line.tokens for line in self.bill if numbers is None or line.child in numbers]
        return sum(tokens), len(tokens)
