"""The order desk's tools: look-ups with typed arguments. No answer is computed outside a tool."""

from __future__ import annotations

from typing import Any

from agentkit.errors import ToolFailed
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.tools import Tool, calculate, tool


def desk_tools(desk: Desk) -> tuple[Tool, ...]:
    """Return the look-ups over `desk`, and the calculator."""

    @tool
    def get_order(order_id: int) -> dict[str, Any]:
        """Look up the customer, product, quantity and status of an order."""
        return _found("get_order", desk.order(order_id), f"no order {order_id}")

    @tool
    def find_customer(name: str) -> dict[str, Any]:
        """Look up the city, tier and phone of a customer."""
        return _found("find_customer", desk.customer(name), f"no customer {name}")

    @tool
    def find_product(name: str) -> dict[str, Any]:
        """Look up the price, stock and supplier of a product."""
        return _found("find_product", desk.product(name), f"no product {name}")

    @tool
    def get_shipment(order_id: int) -> dict[str, Any]:
        """Look up the carrier, days in transit and cost of a shipment."""
        return _found("get_shipment", desk.shipment(order_id), f"no shipment of order {order_id}")

    return (get_order, find_customer, find_product, get_shipment, calculate)


def _found(name: str, row: dict[str, Any] | None, missing: str) -> dict[str, Any]:
    if row is None:
        raise ToolFailed(name, missing)
    return row
