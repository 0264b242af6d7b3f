"""Short limits over real sockets and threads, on a machine that may stop for seconds: import `anyio_backend`.

A second that the machine keeps from the process counts for nothing: each turn of the loop moves its clock by 5 ms
at most, or by what its own thread has computed, if that is more. So a limit of 0.2 s takes 40 turns, in which
everything else goes on, however long they are, or 0.2 s of our own computing.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - anyio runs on loops but does not make them
import selectors
import time
from typing import Any

import pytest

_TURN = 0.005  # seconds


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose clock leaves out how long a turn waits for the machine."""

    def __init__(self) -> None:
        self._now, self._seen, self._computed = 0.0, time.monotonic(), time.thread_time()
        super().__init__(_Slicing(self))

    def time(self) -> float:
        """Return the seconds that counted so far."""
        return self._now + time.thread_time() - self._computed

    def turn(self) -> None:
        """Count the time since the last turn."""
        now, computed = time.monotonic(), time.thread_time()
        self._now += max(min(now - self._seen, _TURN), computed - self._computed)
        self._seen, self._computed = now, computed


class _Slicing(selectors.DefaultSelector):
    def __init__(self, loop: PatientLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(_TURN if timeout is None else min(timeout, _TURN))
        self._loop.turn()
        return events


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run async tests on a loop that does not count what the machine withholds."""
    return "asyncio", {"loop_factory": PatientLoop}
