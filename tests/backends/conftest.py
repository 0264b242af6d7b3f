"""The provider that the tests of remote backends talk to."""

from collections.abc import Iterator

import pytest

from tests.backends.server import Provider, Reply, running


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    running_provider.reply = Reply()
    running_provider.requests.clear()
    running_provider.ports.clear()
    return running_provider
