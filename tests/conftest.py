"""What every test shares: the event loop, and how long property tests search."""

import pytest
from hypothesis import settings

# No deadline: the machines that run this are shared, so a slow example says nothing about the code.
settings.register_profile("default", max_examples=200, deadline=None)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile("default")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop that users run."""
    return "asyncio"
