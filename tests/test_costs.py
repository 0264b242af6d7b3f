"""Amounts and budgets: what they refuse, and how it says so."""

import re
from decimal import Decimal

import pytest

from agentkit.costs import Budget


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"usd": "$5"}, "a number such as 0.05, not '$5'"),
        ({"usd": Decimal(-1)}, "not negative, not -1"),
        ({"on_limit": "rase"}, "'answer' or 'raise', not 'rase'"),
    ],
)
def test_a_slip_in_a_budget_is_refused_where_it_is_made(limits: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Budget(**limits)  # type: ignore[arg-type]  # the slips
