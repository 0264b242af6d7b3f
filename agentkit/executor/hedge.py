"""A race of two calls: the second starts when the first is late, and the first to answer is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

import anyio

from agentkit.errors import BackendError

T = TypeVar("T")

Claim = Callable[[], Awaitable[None]]
"""Tells that the caller answers; returns if it is the first, and never if the other one was."""
Racer = Callable[[Claim], Awaitable[T | None]]
"""A call; it claims when its answer begins to show, or has claimed when it returns one. None: it was not made."""


async def race(first: Racer[T], second: Racer[T], delay: float) -> T:
    """Run `first`, and after `delay` seconds without a claim `second` beside it; returns what the winner returns.

    The loser is cancelled as soon as the winner claims. Raises the last error when nobody returns anything, and
    whoever wins, one that is no failure of a call, such as that of a ledger which cannot be written.
    """
    return await _Race[T]().run(first, second, delay)


class _Race(Generic[T]):
    def __init__(self) -> None:
        self._scopes = (anyio.CancelScope(), anyio.CancelScope())
        self._winner: int | None = None
        self._second_runs = False
        self._result: T | None = None
        self._error: Exception | None = None

    async def run(self, first: Racer[T], second: Racer[T], delay: float) -> T:
        async with anyio.create_task_group() as group:
            group.start_soon(self._start_second, second, delay)
            with self._scopes[0]:  # in this task: what it holds must not wait for a task to begin
                await self._go(first, 0)
            if not self._second_runs:
                self._scopes[1].cancel()
        if self._error is not None and (self._result is None or not isinstance(self._error, BackendError)):
            raise self._error
        assert self._result is not None
        return self._result

    async def _start_second(self, racer: Racer[T], delay: float) -> None:
        with self._scopes[1]:
            await anyio.sleep(delay)
            self._second_runs = True
            await self._go(racer, 1)

    async def _go(self, racer: Racer[T], place: int) -> None:
        try:
            result = await racer(partial(self._claim, place))
            if result is not None:
                await self._claim(place)
                self._result = result
        except Exception as error:  # kept and raised outside the group, so that it is not wrapped in one
            if self._error is None or isinstance(self._error, BackendError):
                self._error = error

    async def _claim(self, place: int) -> None:
        if self._winner is None:
            self._winner = place
            self._scopes[1 - place].cancel()
        elif self._winner != place:
            await anyio.sleep_forever()  # it is being cancelled
