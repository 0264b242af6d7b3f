"""What the patient clock counts, and what it leaves out."""

from __future__ import annotations

import time

import anyio
import pytest

from tests.patient import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_a_limit_passed_by_our_own_computing_is_seen() -> None:
    start = anyio.current_time()
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.2):
            compute(0.3)
            await anyio.sleep(0.1)
    assert anyio.current_time() - start >= 0.3


async def test_what_the_machine_withholds_and_other_threads_compute_does_not_count() -> None:
    with anyio.fail_after(0.2):
        time.sleep(0.5)  # noqa: ASYNC251 - the loop stands still, as when the machine stops
        await anyio.sleep(0.01)
        await anyio.to_thread.run_sync(compute, 0.1)
