"""The order desk's SQLite database, generated from a seed."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentkit.evals.suites.order_desk.names import STATUSES, TIERS, Names, Split

_SCHEMA = """
CREATE TABLE customers (name TEXT PRIMARY KEY, city TEXT NOT NULL, tier TEXT NOT NULL, phone TEXT NOT NULL);
CREATE TABLE products (name TEXT PRIMARY KEY, price TEXT NOT NULL, stock INTEGER NOT NULL, supplier TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers,
                     product TEXT NOT NULL REFERENCES products, quantity INTEGER NOT NULL, status TEXT NOT NULL);
CREATE TABLE shipments (order_id INTEGER PRIMARY KEY REFERENCES orders, carrier TEXT NOT NULL,
                        days INTEGER NOT NULL, cost TEXT NOT NULL);
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """An open order desk. Look-ups return the row without its key, or None; money is a Decimal."""

    connection: sqlite3.Connection

    @classmethod
    def create(cls, seed: int, split: Split, *, size: int = 40, path: Path | str = ":memory:") -> Desk:
        """Generate a desk of `size` customers and products and 2 × `size` orders."""
        desk = cls(sqlite3.connect(path, check_same_thread=False))
        desk.connection.executescript(_SCHEMA)
        desk._fill(random.Random(seed), split, size)
        desk.connection.commit()
        return desk

    @classmethod
    def open(cls, path: Path | str) -> Desk:
        """Open a desk that was created at `path`."""
        return cls(sqlite3.connect(path, check_same_thread=False))

    def order(self, order_id: int) -> Row | None:
        """Return customer, product, quantity and status of an order."""
        return self._one("SELECT customer, product, quantity, status FROM orders WHERE id = ?", order_id)

    def customer(self, name: str) -> Row | None:
        """Return city, tier and phone of a customer."""
        return self._one("SELECT city, tier, phone FROM customers WHERE name = ?", name)

    def product(self, name: str) -> Row | None:
        """Return price, stock and supplier of a product."""
        row = self._one("SELECT price, stock, supplier FROM products WHERE name = ?", name)
        return row and {**row, "price": Decimal(row["price"])}

    def shipment(self, order_id: int) -> Row | None:
        """Return carrier, days in transit and cost of an order's shipment."""
        row = self._one("SELECT carrier, days, cost FROM shipments WHERE order_id = ?", order_id)
        return row and {**row, "cost": Decimal(row["cost"])}

    def keys(self, table: str) -> list[Any]:
        """Return the keys of customers, products or orders in a fixed order."""
        key = "id" if table == "orders" else "name"
        return [row[0] for row in self.connection.execute(f"SELECT {key} FROM {table} ORDER BY {key}")]

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _one(self, query: str, key: object) -> Row | None:
        cursor = self.connection.execute(query, (key,))
        values = cursor.fetchone()
        return None if values is None else {d[0]: v for d, v in zip(cursor.description, values, strict=True)}

    def _fill(self, rng: random.Random, split: Split, size: int) -> None:
        names = Names(rng, split)
        people = sorted({names.person() for _ in range(size)})
        goods = sorted({names.product() for _ in range(size)})
        self.connection.executemany(
            "INSERT INTO customers VALUES (?, ?, ?, ?)",
            [(person, names.town(), rng.choice(TIERS), names.phone()) for person in people],
        )
        self.connection.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?)",
            [(good, names.money(2, 400), rng.randint(0, 999), names.supplier()) for good in goods],
        )
        for order_id in sorted({names.order_id() for _ in range(2 * size)}):
            order = (order_id, rng.choice(people), rng.choice(goods), rng.randint(2, 60), rng.choice(STATUSES))
            shipment = (order_id, names.carrier(), rng.randint(1, 30), names.money(3, 90))
            self.connection.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", order)
            self.connection.execute("INSERT INTO shipments VALUES (?, ?, ?, ?)", shipment)
