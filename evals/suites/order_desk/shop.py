"""The order desk as a module of tools, for agent definitions:

    python: "agentkit.evals.suites.order_desk.shop:get_order"

The desk is the file that AGENTKIT_ORDER_DESK names, else the demonstration desk.
"""

from __future__ import annotations

import os
from pathlib import Path

from agentkit.errors import ConfigError
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.tools import desk_tools

_DEMO_SEED = 20261120


def demo_desk() -> Desk:
    """Return the demonstration desk, the same every time; its names are of the test split, unseen in training."""
    return Desk.create(_DEMO_SEED, "test")


def _desk() -> Desk:
    path = os.environ.get("AGENTKIT_ORDER_DESK")
    if not path:
        return demo_desk()
    if not Path(path).is_file():  # SQLite would make an empty one
        raise ConfigError(f"AGENTKIT_ORDER_DESK names {path!r}, which is no file; write one with Desk.create")
    return Desk.open(path)


get_order, find_customer, find_product, get_shipment, calculate = desk_tools(_desk())
