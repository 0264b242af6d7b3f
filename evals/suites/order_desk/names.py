"""Names, numbers and the train/test split of the order desk.

Everything a question or an answer can contain is made here from a seeded generator. `split_of` puts each
string for good into one split by its hash, so that no name, id or phrasing of the test split can occur in
training, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Literal

Split = Literal["train", "test"]

_ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t tr v w z".split()
_VOWELS = "a e i o u ai ea io ou".split()
_CODAS = "b ck d g l ll m n nd nt p r rd rn s st t th v x".split()
_TOWN_ENDS = "burg ford ham mouth stad ton ville wick".split()
_FIRM_ENDS = ("Freight", "Lines", "Express", "Cargo")
_MAKER_ENDS = ("Works", "Supply", "Mills", "Trade")
_GOODS = "Bench Bowl Chair Clock Desk Drill Fan Kettle Lamp Mirror Radio Rug Shelf Stool Tent Vase".split()

STATUSES = ("pending", "packed", "shipped", "delivered", "returned")
TIERS = ("basic", "silver", "gold")


def split_of(text: str, test_share: int = 20) -> Split:
    """Return the split `text` belongs to; `test_share` percent of all strings are test."""
    digest = hashlib.sha256(text.encode()).digest()
    return "test" if int.from_bytes(digest[:4], "big") % 100 < test_share else "train"


class Names:
    """Seeded source of names and ids that belong to one split."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self._rng, self._split = rng, split

    def person(self) -> str:
        """Return a first and a last name; each word belongs to the split."""
        return f"{self._word(1, 2)} {self._word(1, 2)}"

    def town(self) -> str:
        """Return the name of a town."""
        return self._kept(lambda: self._stem(1, 1) + self._rng.choice(_TOWN_ENDS))

    def carrier(self) -> str:
        """Return the name of a carrier."""
        return f"{self._word(1, 2)} {self._rng.choice(_FIRM_ENDS)}"

    def supplier(self) -> str:
        """Return the name of a supplier."""
        return f"{self._word(1, 2)} {self._rng.choice(_MAKER_ENDS)}"

    def product(self) -> str:
        """Return the name of a product."""
        return f"{self._word(1, 2)} {self._rng.choice(_GOODS)}"

    def order_id(self) -> int:
        """Return a five-digit order number."""
        return int(self._kept(lambda: str(self._rng.randint(10_000, 99_999))))

    def phone(self) -> str:
        """Return a phone number."""
        return self._kept(lambda: f"555-{self._rng.randint(0, 9_999):04d}")

    def money(self, low: int, high: int) -> str:
        """Return an amount between `low` and `high` with two decimals."""
        return f"{self._rng.randint(low * 100, high * 100) / 100:.2f}"

    def _word(self, fewest: int, most: int) -> str:
        return self._kept(lambda: self._stem(fewest, most))

    def _stem(self, fewest: int, most: int) -> str:
        parts = [
            self._rng.choice(_ONSETS) + self._rng.choice(_VOWELS) for _ in range(self._rng.randint(fewest, most))
        ]
        return ("".join(parts) + self._rng.choice(_CODAS)).capitalize()

    def _kept(self, draw: Callable[[], str]) -> str:
        while split_of(text := draw()) != self._split:
            pass
        return text
