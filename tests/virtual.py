"""Tests that wait for hours and take milliseconds: import `anyio_backend` for virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from agentkit.evals.benches.virtual_time import VirtualLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run async tests on a loop whose clock jumps from timer to timer."""
    return "asyncio", {"loop_factory": VirtualLoop}
