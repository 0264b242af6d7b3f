"""An event loop whose clock jumps to the next timer when nothing else is left to do.

Hours of pauses, limits and latencies pass in as long as their code takes, the same in every run. Only for work
that waits for timers: while a socket or a thread is waited for, time flies.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - anyio runs on loops but does not make them
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

_THREADS = 60.0  # real seconds that are left to a thread when there is nothing but it to wait for


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that starts at 0 s and never sleeps."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(_THREADS if timeout is None else 0)
        if not events:
            if timeout is None:
                raise RuntimeError("nothing is left that could happen: every task waits for something but time")
            self._loop.jump(max(0.0, timeout))
        return events


def run_virtually(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run `function` to its end in virtual time and return what it returns."""
    return anyio.run(function, *arguments, backend_options={"loop_factory": VirtualLoop})
