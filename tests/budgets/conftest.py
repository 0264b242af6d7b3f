"""Every ledger test that asks for `ledger` runs over both stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentkit.budgets import Ledger


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as opened:
        yield opened
