"""Questions about an order desk, with the answer and the tool calls that lead to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from agentkit.evals.suites.order_desk.database import Desk, Row
from agentkit.evals.suites.order_desk.names import Names, Split
from agentkit.evals.suites.order_desk.phrasings import KINDS, phrasings

ONE_STEP = tuple(
    kind
    for kind in KINDS
    if kind.split(".")[0] in ("order", "customer", "product", "shipment")
    and kind not in ("order.total", "shipment.per_unit")
)
TWO_STEP = tuple(kind for kind in KINDS if kind not in ONE_STEP)

LABELS = {
    "days": "transit time in days",
    "cost": "shipping cost",
    "phone": "phone number",
    "together": "sum",
    "per_unit": "shipping cost per unit",
}
_VALUE = re.compile(r"^The [a-z ]+ is (.+?)\.?$")

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the value that answers it, and the tool calls in the order they are needed."""

    kind: str
    text: str
    answer: str
    steps: tuple[Step, ...]

    @property
    def sentence(self) -> str:
        """The answer as the desk says it."""
        field = self.kind.split(".")[-1]
        return f"The {LABELS.get(field, field)} is {self.answer}."

    @property
    def is_two_step(self) -> bool:
        """Whether it takes two look-ups, with or without arithmetic after them."""
        return self.kind in TWO_STEP


def stated_value(text: str) -> str | None:
    """Return the value that an answer sentence states, None if it states none."""
    match = _VALUE.match(text.strip())
    return match.group(1) if match else None


def is_correct(question: Question, text: str) -> bool:
    """Tell whether `text` states exactly the value that answers `question`."""
    return stated_value(text) == question.answer


def draw_question(rng: random.Random, desk: Desk, split: Split, kind: str) -> Question:
    """Draw a question of `kind` about something that is in `desk`."""
    entities, steps, answer = _DRAW[kind.split(".")[0] if kind not in _DRAW else kind](
        rng, desk, kind.split(".")[-1]
    )
    text = rng.choice(phrasings(kind, split)).format(**entities)
    return Question(kind, text, str(answer), steps)


def draw_missing(rng: random.Random, desk: Desk, split: Split, kind: str) -> tuple[str, Step, str]:
    """Draw a question about something that is not in `desk`: its text, the call that fails, and the answer."""
    names = Names(rng, split)
    what = kind.split(".")[0].split(">")[0]
    name, argument, key = {
        "order": ("get_order", "order_id", names.order_id),
        "shipment": ("get_shipment", "order_id", names.order_id),
        "customer": ("find_customer", "name", names.person),
        "product": ("find_product", "name", names.product),
    }[what]
    table = {"order": "orders", "shipment": "orders", "customer": "customers", "product": "products"}[what]
    taken = set(desk.keys(table))
    missing = key()
    while missing in taken:
        missing = key()
    text = rng.choice(phrasings(kind, split)).format(a=missing)
    noun = "order" if what == "shipment" else what
    return text, (name, {argument: missing}), f"There is no {noun} {missing}."


_Drawn = tuple[Mapping[str, object], tuple[Step, ...], object]
_Draw = Callable[[random.Random, Desk, str], _Drawn]
_Find = Callable[[Desk, Any], Row | None]


def _one_look_up(table: str, tool: str, argument: str, find: _Find) -> _Draw:
    def draw(rng: random.Random, desk: Desk, field: str) -> _Drawn:
        key = rng.choice(desk.keys(table))
        row = find(desk, key)
        assert row is not None
        return {"a": key}, ((tool, {argument: key}),), row[field]

    return draw


def _through_order(link: str, tool: str, find: _Find) -> _Draw:
    def draw(rng: random.Random, desk: Desk, field: str) -> _Drawn:
        order_id = rng.choice(desk.keys("orders"))
        order = desk.order(order_id)
        assert order is not None
        row = find(desk, order[link])
        assert row is not None
        steps = (("get_order", {"order_id": order_id}), (tool, {"name": order[link]}))
        return {"a": order_id}, steps, row[field]

    return draw


def _total(rng: random.Random, desk: Desk, field: str) -> _Drawn:
    order_id = rng.choice(desk.keys("orders"))
    order = desk.order(order_id)
    assert order is not None
    product = desk.product(order["product"])
    assert product is not None
    expression = f"{order['quantity']} * {product['price']}"
    steps = (
        ("get_order", {"order_id": order_id}),
        ("find_product", {"name": order["product"]}),
        ("calculate", {"expression": expression}),
    )
    return {"a": order_id}, steps, order["quantity"] * product["price"]


def _two_products(rng: random.Random, desk: Desk, field: str) -> _Drawn:
    first, second = rng.sample(desk.keys("products"), 2)
    price = {name: (desk.product(name) or {})["price"] for name in (first, second)}
    if price[first] < price[second]:
        first, second = second, first
    sign = "-" if field == "difference" else "+"
    value = price[first] - price[second] if field == "difference" else price[first] + price[second]
    steps = (
        ("find_product", {"name": first}),
        ("find_product", {"name": second}),
        ("calculate", {"expression": f"{price[first]} {sign} {price[second]}"}),
    )
    return {"a": first, "b": second}, steps, value


def _freight_per_unit(rng: random.Random, desk: Desk, field: str) -> _Drawn:
    order_id = rng.choice(desk.keys("orders"))
    order, shipment = desk.order(order_id), desk.shipment(order_id)
    assert order is not None and shipment is not None
    steps = (
        ("get_shipment", {"order_id": order_id}),
        ("get_order", {"order_id": order_id}),
        ("calculate", {"expression": f"round({shipment['cost']} / {order['quantity']}, 2)"}),
    )
    share = shipment["cost"] / Decimal(order["quantity"])
    return {"a": order_id}, steps, share.quantize(Decimal("0.01"), ROUND_HALF_UP)


_DRAW: dict[str, _Draw] = {
    "order": _one_look_up("orders", "get_order", "order_id", Desk.order),
    "customer": _one_look_up("customers", "find_customer", "name", Desk.customer),
    "product": _one_look_up("products", "find_product", "name", Desk.product),
    "shipment": _one_look_up("orders", "get_shipment", "order_id", Desk.shipment),
    "order>customer": _through_order("customer", "find_customer", Desk.customer),
    "order>product": _through_order("product", "find_product", Desk.product),
    "order.total": _total,
    "products": _two_products,
    "shipment.per_unit": _freight_per_unit,
}
