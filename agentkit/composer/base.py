"""What a composer is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agentkit.catalog import Catalog, Selection


class Composer(Protocol):
    """Chooses components under a budget."""

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Choose from `catalog` within `available`; resources absent from it are not limited.

        A selection always has a model if the catalog has one: without a model nothing can be answered, and
        whether a call fits is for the ledger to say.
        """
        ...
