"""The feed: what is put in comes out, in order, and ends when it is closed."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from agentkit.feed import Feed

pytestmark = pytest.mark.anyio


async def test_items_come_in_order_however_writer_and_reader_take_turns() -> None:
    feed: Feed[int] = Feed()
    read: list[int] = []

    async def write() -> None:
        for number in range(100):
            feed.put(number)
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()
        feed.close()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            async for number in feed.read():
                read.append(number)
                if number % 11 == 0:
                    await anyio.lowlevel.checkpoint()
    assert read == list(range(100))


async def test_what_was_put_before_the_end_is_still_read() -> None:
    feed: Feed[str] = Feed()
    feed.put("a")
    feed.close()
    assert [item async for item in feed.read()] == ["a"]


async def test_a_reader_that_waits_is_woken_by_the_end() -> None:
    feed: Feed[str] = Feed()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(_read_nothing, feed)
            await anyio.wait_all_tasks_blocked()
            feed.close()


async def _read_nothing(feed: Feed[str]) -> None:
    assert [item async for item in feed.read()] == []
