"""Items handed from one task to another as they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")


class Feed(Generic[T]):
    """A queue without a limit, from any number of writers to one reader.

    Streams of tokens go through it, so it does less than a memory stream: a reader that finds items takes them all
    before it lets others run, and waits at one semaphore, since an event serves but once.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._closed = False
        self._failure: Exception | None = None
        self._news, self._awaited = anyio.Semaphore(0, fast_acquire=True), False

    def put(self, item: T) -> None:
        """Append an item."""
        self._items.append(item)
        if self._awaited:
            self._wake()

    def close(self, failure: Exception | None = None) -> None:
        """Say that no more items come, and what goes wrong when they have been read."""
        self._closed, self._failure = True, failure
        if self._awaited:
            self._wake()

    async def read(self) -> AsyncGenerator[T, None]:
        """Yield the items until the feed is closed and empty."""
        while True:
            while self._items:
                yield self._items.popleft()
            if self._closed:
                await anyio.lowlevel.checkpoint_if_cancelled()  # writer and reader cancelled together is no end
                if self._failure is not None:
                    raise self._failure
                return
            self._awaited = True
            await self._news.acquire()

    def _wake(self) -> None:
        """Wake the reader; what is put before it runs finds it awake."""
        self._awaited = False
        self._news.release()
