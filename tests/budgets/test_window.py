"""Windows: a day and a month are accounts of their own, and a clock only says which is current."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BudgetExceeded, ConfigError

pytestmark = pytest.mark.anyio
DAY, MONTH = {"usd": 10}, {"usd": 25}


class Clock:
    """A clock that a test sets."""

    def __init__(self, at: str) -> None:
        self.set(at)

    def set(self, at: str) -> None:
        self.now = datetime.fromisoformat(at).replace(tzinfo=UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-11-20T23:30")


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(url, clock=clock) as opened:
        yield opened


def test_a_window_is_named_after_its_time(ledger: Ledger, clock: Clock) -> None:
    assert ledger.window("user-42", day=DAY).name == "user-42/2026-11-20"
    assert ledger.window("user-42", month=MONTH).name == "user-42/2026-11"
    assert ledger.window("user-42", day=DAY, month=MONTH).name == "user-42/2026-11/20"
    assert ledger.window("user-42", day=DAY, tz=ZoneInfo("Europe/Rome")).name == "user-42/2026-11-21"
    clock.set("2027-01-01T00:00")
    assert ledger.window("user-42", day=DAY, parent=ledger.scope("org")).name == "org/user-42/2027-01-01"


async def test_a_hold_stays_with_the_window_it_was_made_in(ledger: Ledger, clock: Clock) -> None:
    friday = ledger.window("user-42", day=DAY)
    hold = await friday.share(name="run").reserve(Cost(usd=8), dispatch=True)
    clock.set("2026-11-21T00:00")
    saturday = ledger.window("user-42", day=DAY)
    assert saturday.view().available == DAY
    await hold.settle(Cost(usd=7))
    assert (friday.view().spent, saturday.view().spent) == (Cost(usd=7), Cost())


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_jumps_gives_nobody_a_second_day(ledger: Ledger, clock: Clock, jump: timedelta) -> None:
    clock.set("2026-11-20T23:30" if jump > timedelta() else "2026-11-21T00:30")
    await (await ledger.window("user-42", day=DAY).reserve(Cost(usd=10), dispatch=True)).settle(None)
    clock.now += jump
    await ledger.window("user-42", day=DAY).reserve(Cost(usd=10))
    clock.now -= jump
    with pytest.raises(BudgetExceeded):
        await ledger.window("user-42", day=DAY).reserve(Cost(usd=1))
    assert await ledger.verify() == []


async def test_days_draw_from_their_month(ledger: Ledger, clock: Clock) -> None:
    for day, usd in (("20", 10), ("21", 10), ("22", 5)):
        clock.set(f"2026-11-{day}T12:00")
        window = ledger.window("user-42", day=DAY, month=MONTH)
        with pytest.raises(BudgetExceeded) as refused:
            await window.reserve(Cost(usd=usd + 1))
        assert refused.value.scope == ("user-42/2026-11" if day == "22" else f"user-42/2026-11/{day}")
        await (await window.reserve(Cost(usd=usd), dispatch=True)).settle(None)
    assert ledger.window("user-42", month=MONTH).view().spent == Cost(usd=25)
    clock.set("2026-12-01T00:00")
    assert ledger.window("user-42", day=DAY, month=MONTH).view().available == DAY


def test_a_window_needs_a_name_and_a_limit(ledger: Ledger) -> None:
    for name, day in (("", DAY), ("user-42", None)):
        with pytest.raises(ConfigError, match="window needs"):
            ledger.window(name, day=day)
    ledger.window("user-42", day=DAY)
    with pytest.raises(ConfigError, match="never change"):
        ledger.window("user-42", day=MONTH)


def test_what_is_no_limit_or_time_zone_says_what_one_is(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match=r"limits are a Budget such as Budget\(usd=5\), not 'usd=1'"):
        ledger.window("user-42", day="usd=1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"a time zone such as ZoneInfo\('Europe/Berlin'\), not 'Europe/Berlin'"):
        ledger.window("user-42", day=Budget(usd=1), tz="Europe/Berlin")  # type: ignore[arg-type]


def test_other_limits_of_a_scope_are_told_in_dollars(ledger: Ledger) -> None:
    ledger.scope("app", limits=Budget(usd="2.5", requests=3))
    with pytest.raises(ConfigError, match="limits requests=3,usd=2.5, not usd=0.1;"):
        ledger.scope("app", limits=Budget(usd="0.1"))
