"""What a framework under test shows of itself: an adapter is one class that satisfies `Subject`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from agentkit.evals.conformance.provider import Child, Provider

Feature = Literal["limit", "nested_limits", "retries", "holds"]
"""What a case may need: one token limit for many runs, a limit within it, a second attempt, reservations."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the framework's own books say after the run; `requests` is None where it does not count them.

    `held` is what is still reserved, in tokens.
    """

    tokens: int
    requests: int | None = None
    held: int = 0


class Account(Protocol):
    """A limit while it holds."""

    async def call(self, child: Child) -> None:
        """Run one child agent, with a second attempt if it `failures`; returns also when it is refused."""
        ...

    async def nested(self, limit: int, work: Work) -> None:
        """Do `work` under a limit of its own, in tokens, within this one."""
        ...


Work = Callable[[Account], Awaitable[None]]
"""What is to be done under a limit; it may run children one by one or at once."""


class Subject(Protocol):
    """A framework under test, set up as its documentation says; it is made without arguments.

    `title` is its name and version. `lacks` says why it cannot express a feature: cases that need it are skipped.
    """

    @property
    def title(self) -> str:
        """Name and version."""
        ...

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """What it cannot express, and why."""
        ...

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        """Do `work` under one limit in tokens, None for no limit, every model call going to `provider`."""
        ...
