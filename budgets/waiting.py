"""Waiting for room: whoever is saturated sleeps until something is released."""

from __future__ import annotations

from threading import get_ident

import anyio
import anyio.lowlevel

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class Waiting:
    """Wakes the waiters of this thread at once; other threads and processes are found by polling.

    An anyio event may only be set from its own event loop's thread, and other processes cannot set it at
    all, hence the back-off between 5 and 250 ms.
    """

    def __init__(self) -> None:
        self.releases = 0
        self._sleepers: list[tuple[int, anyio.Event]] = []

    def wake(self) -> None:
        """Tell that something was released."""
        self.releases += 1
        if self._sleepers:
            thread = get_ident()
            for sleeper_thread, event in self._sleepers:
                if sleeper_thread == thread:
                    event.set()

    async def sleep(self, deadline: float, seen: int, attempt: int) -> None:
        """Return when something was released since `releases` was `seen`, or after the back-off.

        `deadline` is on the clock of `anyio.current_time()`; `attempt` counts the failed tries from 0.
        """
        if self.releases != seen:
            await anyio.lowlevel.checkpoint()
            return
        pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
        sleeper = (get_ident(), anyio.Event())
        self._sleepers.append(sleeper)
        try:
            with anyio.CancelScope(deadline=min(deadline, anyio.current_time() + pause)):
                await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)
