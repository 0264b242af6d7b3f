"""Tests that wait for hours and take milliseconds: import `anyio_backend`, or mark one test `in_virtual_time`."""

from __future__ import annotations

from typing import Any

import pytest

from agentkit.evals.benches.virtual_time import VirtualLoop

_LOOP: tuple[str, dict[str, Any]] = ("asyncio", {"loop_factory": VirtualLoop})

in_virtual_time = pytest.mark.parametrize("anyio_backend", [pytest.param(_LOOP, id="virtual")])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run async tests on a loop whose clock jumps from timer to timer."""
    return _LOOP
