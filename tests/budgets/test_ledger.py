"""The contract of the ledger, the same over both stores."""

from __future__ import annotations

import asyncio  # noqa: TID251 - users cancel with bare asyncio too
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine

import anyio
import pytest

from agentkit.budgets import Hold, Ledger, Scope, waiting
from agentkit.costs import MAX_AMOUNT, Cost
from agentkit.errors import (
    BudgetExceeded,
    ConfigError,
    HoldStateError,
    LedgerError,
    Saturated,
    ScopeClosed,
    ScopeFrozen,
    UnknownHold,
)

pytestmark = pytest.mark.anyio
CALL = Cost({"usd": 40, "tool_calls": 1, "tool_calls[search]": 1})


@pytest.fixture
def scope(ledger: Ledger) -> Scope:
    return ledger.scope("run", limits={"usd": 100, "tool_calls": 5, "tool_calls[search]": 3})


async def test_a_call_is_held_then_charged_what_it_used(scope: Scope) -> None:
    hold = await scope.reserve(CALL, what="model:nano")
    assert scope.view().held == CALL
    assert scope.view().available == {"usd": 60, "tool_calls": 4, "tool_calls[search]": 2}
    await hold.dispatch()
    receipt = await hold.settle(Cost(usd=30, tool_calls=1))
    assert (receipt.what, receipt.state, receipt.estimated) == ("model:nano", "settled", False)
    assert scope.view().held == Cost() and scope.view().spent == Cost(usd=30, tool_calls=1)
    assert scope.receipts() == (receipt,)


async def test_without_a_usage_record_the_whole_hold_is_charged(scope: Scope) -> None:
    receipt = await (await scope.reserve(CALL, dispatch=True)).settle(None)
    assert (receipt.state, receipt.charged, receipt.estimated) == ("charged_full", CALL, True)
    assert scope.view().spent == CALL


async def test_a_refusal_names_the_account_and_changes_nothing(ledger: Ledger, scope: Scope) -> None:
    step = scope.share({"usd": 50}).share()
    before = ledger.events()
    with pytest.raises(BudgetExceeded) as refused:
        await step.reserve(Cost(usd=51))
    assert (refused.value.scope, refused.value.resource) == ("run/1", "usd")
    assert (refused.value.asked, refused.value.available) == (51, 50)
    assert ledger.events() == before and scope.view().held == Cost()


async def test_saturated_is_what_fits_once_holds_are_released(scope: Scope) -> None:
    await scope.reserve(Cost(usd=70))
    with pytest.raises(Saturated) as refused:
        await scope.reserve(Cost(usd=31))
    assert (refused.value.asked, refused.value.available, refused.value.held) == (31, 30, 70)
    scope.slice(Cost(usd=20))
    with pytest.raises(BudgetExceeded):
        await scope.reserve(Cost(usd=81))


async def test_endings_are_final_and_repeatable(scope: Scope) -> None:
    hold = await scope.reserve(CALL)
    with pytest.raises(HoldStateError):
        await hold.settle(CALL)
    await hold.dispatch()
    await hold.dispatch()
    with pytest.raises(HoldStateError):
        await hold.void()
    first = await hold.settle(Cost(usd=1))
    assert await hold.settle(Cost(usd=2)) == first
    for operation in (hold.void, hold.dispatch):
        with pytest.raises(HoldStateError):
            await operation()
    voided = await scope.reserve(CALL)
    assert await voided.void() == await voided.void()
    with pytest.raises(HoldStateError):
        await voided.settle(CALL)
    assert scope.view().spent == Cost(usd=1)


async def test_an_id_stands_for_one_hold(scope: Scope) -> None:
    hold = await scope.reserve(CALL, id="step-1/try-1", dispatch=True)
    again = await scope.reserve(CALL, id="step-1/try-1")
    assert (again.id, again.state, scope.view().held) == (hold.id, "dispatched", CALL)
    with pytest.raises(HoldStateError):
        await scope.reserve(Cost(usd=1), id="step-1/try-1")
    with pytest.raises(HoldStateError):
        await scope.share().reserve(CALL, id="step-1/try-1")


async def test_extend_adds_or_refuses_at_once(scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=40), dispatch=True)
    await hold.extend(Cost(usd=20))
    assert hold.held == scope.view().held == Cost(usd=60)
    other = await scope.reserve(Cost(usd=40))
    with pytest.raises(Saturated):
        await hold.extend(Cost(usd=1))
    await other.void()
    await hold.settle(Cost(usd=60))
    with pytest.raises(HoldStateError):
        await hold.extend(Cost(usd=1))


async def test_an_overrun_takes_what_is_available(ledger: Ledger, scope: Scope) -> None:
    receipt = await (await scope.reserve(Cost(usd=40), dispatch=True)).settle(Cost(usd=100))
    assert receipt.overrun == Cost(usd=60) and scope.view().spent == Cost(usd=100)
    assert not scope.view().frozen and await ledger.verify() == []


async def test_an_overrun_without_room_freezes_the_accounts_it_does_not_fit(ledger: Ledger, scope: Scope) -> None:
    tight = scope.share({"usd": 50}, "tight")
    receipt = await (await tight.reserve(Cost(usd=50), dispatch=True)).settle(Cost(usd=51))
    assert receipt.charged == Cost(usd=51)
    assert tight.view().frozen and not scope.view().frozen
    with pytest.raises(ScopeFrozen):
        await tight.share().reserve(Cost())
    await scope.reserve(Cost(usd=49))
    assert [event.kind for event in ledger.events()].count("freeze") == 1
    assert await ledger.verify() == []


async def test_a_bill_corrects_the_receipt_in_every_account_it_reached(ledger: Ledger, scope: Scope) -> None:
    part = scope.slice({"usd": 60})
    hold = await part.reserve(Cost(usd=50), dispatch=True)
    with pytest.raises(HoldStateError):
        await ledger.reconcile(hold.id, Cost(usd=10))
    await hold.settle(None)
    await part.close()
    receipt = await ledger.reconcile(hold.id, Cost(usd=10))
    assert (receipt.charged, receipt.estimated, receipt.state) == (Cost(usd=10), False, "charged_full")
    assert scope.view().spent == part.view().spent == Cost(usd=10) and scope.receipts() == (receipt,)
    receipt = await ledger.reconcile(hold.id, Cost(usd=101))
    assert receipt.overrun == Cost(usd=51) and scope.view().frozen
    assert await ledger.verify() == []
    with pytest.raises(UnknownHold):
        await ledger.reconcile("nobody", Cost())


async def test_a_slice_owns_its_amount_until_it_is_closed(ledger: Ledger, scope: Scope) -> None:
    part = scope.slice({"usd": 60}, "remote")
    assert scope.view().allotted == Cost(usd=60) and scope.view().available["usd"] == 40
    await (await part.reserve(Cost(usd=50, tokens=9), dispatch=True)).settle(Cost(usd=20, tokens=9))
    assert scope.view().spent == Cost()
    with pytest.raises(BudgetExceeded, match="tool_calls"):
        await part.reserve(Cost(tool_calls=1))
    assert scope.slice({"usd": 60}, "remote").view() == part.view()
    await part.close()
    assert scope.view().allotted == Cost() and scope.view().spent == Cost(usd=20, tokens=9)
    with pytest.raises(BudgetExceeded):
        scope.slice({"usd": 81})
    assert await ledger.verify() == []


async def test_a_slice_that_overran_takes_the_excess_from_its_parent(ledger: Ledger, scope: Scope) -> None:
    for amount, spent, frozen in [(50, 60, False), (40, 41, True)]:
        part = scope.slice({"usd": amount})
        await (await part.reserve(Cost(usd=amount), dispatch=True)).settle(Cost(usd=spent))
        assert part.view().frozen and not scope.view().frozen
        await part.close()
        assert scope.view().frozen == frozen and await ledger.verify() == []
    assert scope.view().spent == Cost(usd=101)


async def test_closing_leaves_nothing_held_below(ledger: Ledger, scope: Scope) -> None:
    async with scope.share(name="step") as step:
        reserved = await step.share().reserve(CALL)
        dispatched = await step.slice({"usd": 30}).reserve(Cost(usd=30), dispatch=True)
    assert (reserved.state, dispatched.state) == ("voided", "charged_full")
    assert scope.view().held == scope.view().allotted == Cost() and scope.view().spent == Cost(usd=30)
    await step.close()
    for operation in (lambda: step.reserve(CALL), reserved.dispatch):
        with pytest.raises((ScopeClosed, HoldStateError)):
            await operation()
    with pytest.raises(ScopeClosed):
        step.share(name="late")
    assert await ledger.verify() == []


async def test_usage_that_comes_after_the_full_charge_corrects_it(ledger: Ledger, scope: Scope) -> None:
    async with scope.share() as step:
        less, more = [await step.reserve(Cost(usd=20, tokens=9), dispatch=True) for _ in range(2)]
    assert scope.view().spent == Cost(usd=40, tokens=18)
    receipt = await less.settle(Cost(usd=1))
    assert (receipt.state, receipt.charged, receipt.estimated) == ("charged_full", Cost(usd=1), False)
    assert await less.settle(Cost(usd=2)) == receipt, "the first usage record counts"
    assert (await more.settle(Cost(usd=100, tokens=9))).overrun == Cost(usd=80)
    assert scope.view().spent == Cost(usd=101, tokens=9) and scope.view().frozen
    assert await ledger.verify() == []


async def test_a_bill_corrects_what_it_names(ledger: Ledger, scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=40, tokens=9), dispatch=True)
    assert ledger.receipt(hold.id) is None
    await hold.settle(None)
    receipt = await ledger.reconcile(hold.id, {"usd": 0})
    assert receipt.charged == Cost(tokens=9) and ledger.receipt(hold.id) == receipt
    events = ledger.events()
    assert await ledger.reconcile(hold.id, {"usd": 0, "tokens": 9}) == receipt
    assert ledger.events() == events, "the same bill again is no news"
    with pytest.raises(ValueError, match="integer"):
        await ledger.reconcile(hold.id, {"usd": -1})


async def test_one_name_is_one_account(ledger: Ledger, scope: Scope) -> None:
    await ledger.scope("run").reserve(CALL)
    assert ledger.scope("run", limits=scope.view().limits).view().held == CALL
    with pytest.raises(ConfigError, match="limits"):
        ledger.scope("run", limits={"usd": 101})
    child = ledger.scope("day", limits={"usd": 5}, parent=scope)
    assert child.name == "run/day" and ledger.scope("run/day").view() == child.view()
    with pytest.raises(ConfigError, match="another place"):
        scope.slice({"usd": 5}, "day")
    assert [scope.share().name, scope.share(name="4").name, scope.share().name] == ["run/2", "run/4", "run/5"]


@pytest.mark.parametrize("amount", [-1, 1.5, float("nan"), MAX_AMOUNT + 1, True])
async def test_amounts_that_are_none_are_refused(ledger: Ledger, scope: Scope, amount: int) -> None:
    hold = await scope.reserve({"usd": 1}, dispatch=True)
    with pytest.raises(ValueError, match="integer"):
        ledger.scope("other", limits={"usd": amount})
    for operation in (scope.reserve, hold.extend, hold.settle):
        with pytest.raises(ValueError, match="integer"):
            await operation({"usd": amount})
    with pytest.raises(ValueError, match="not a resource"):
        await scope.reserve({"dollars": 1})
    assert scope.view().held == Cost(usd=1)


async def test_sums_beyond_the_largest_amount_are_refused(ledger: Ledger) -> None:
    scope = ledger.scope("unlimited")
    hold = await scope.reserve(Cost(usd=MAX_AMOUNT), dispatch=True)
    with pytest.raises(Saturated):
        await scope.reserve(Cost(usd=1))
    await hold.settle(Cost(usd=MAX_AMOUNT - 1))
    small = await scope.reserve(Cost(usd=1), dispatch=True)
    with pytest.raises(BudgetExceeded):
        await small.settle(Cost(usd=2))
    assert (await small.settle(Cost(usd=1))).charged == Cost(usd=1)
    with pytest.raises(BudgetExceeded):
        await ledger.reconcile(small.id, Cost(usd=2))


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST_PAUSE", 60)
    monkeypatch.setattr(waiting, "_LONGEST_PAUSE", 60)


@pytest.mark.usefixtures("no_polling")
@pytest.mark.parametrize("ending", ["settle", "void", "close", "reconcile"])
async def test_a_waiter_is_woken_by_every_release(ledger: Ledger, scope: Scope, ending: str) -> None:
    step = scope.share()
    hold = await step.reserve(Cost(usd=80), dispatch=ending == "settle")
    spent = await scope.reserve(Cost(usd=15), dispatch=True)
    await spent.settle(None)
    releases: dict[str, Callable[[], Awaitable[object]]] = {
        "settle": lambda: hold.settle(Cost(usd=10)),
        "void": hold.void,
        "close": step.close,
        "reconcile": lambda: ledger.reconcile(spent.id, Cost(usd=5)),
    }

    async def release_later() -> None:
        await anyio.sleep(0.05)
        await releases[ending]()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(release_later)
        with anyio.fail_after(60):
            late = await scope.reserve(Cost(usd=10), deadline=anyio.current_time() + 600)
    assert (late.state, late.held) == ("reserved", Cost(usd=10))


@pytest.mark.usefixtures("no_polling")
async def test_a_release_before_the_sleep_is_not_missed() -> None:
    queue = waiting.Waiting()
    queue.wake()
    with anyio.fail_after(60):
        await queue.sleep(anyio.current_time() + 600, seen=0, attempt=0)


async def test_a_waiter_holds_what_was_released(scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=80), dispatch=True)

    async def settle_later() -> None:
        await anyio.sleep(0.05)
        await hold.settle(Cost(usd=10))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settle_later)
        await scope.reserve(Cost(usd=90), deadline=anyio.current_time() + 60)
        assert hold.state == "settled"


async def test_a_waiter_learns_that_its_amount_was_spent(scope: Scope) -> None:
    hold = await scope.reserve(Cost(usd=80), dispatch=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold.settle, None)
        with pytest.raises(BudgetExceeded):
            await scope.reserve(Cost(usd=90), deadline=anyio.current_time() + 60)


async def test_waiting_ends_at_the_deadline(scope: Scope) -> None:
    await scope.reserve(Cost(usd=80))
    start = anyio.current_time()
    with anyio.fail_after(60), pytest.raises(Saturated):
        await scope.reserve(Cost(usd=90), deadline=start + 0.1)
    assert anyio.current_time() >= start + 0.1
    with pytest.raises(Saturated):
        await scope.reserve(Cost(usd=90), deadline=start)


@pytest.mark.parametrize("checkpoints", range(6))
async def test_a_cancelled_reserve_leaks_nothing(ledger: Ledger, scope: Scope, checkpoints: int) -> None:
    """Cancelled by anyio the caller gets its hold, cancelled by asyncio nobody does and it is voided."""

    async def reserve() -> None:
        await (await scope.reserve(CALL, dispatch=True)).settle(Cost(usd=1))

    await _cancelled_after(checkpoints, reserve())
    assert scope.view().held == Cost() and await ledger.verify() == []


@pytest.mark.parametrize("checkpoints", range(6))
async def test_cancellation_finds_the_hold_with_its_caller(ledger: Ledger, scope: Scope, checkpoints: int) -> None:
    got: list[Hold] = []

    async def reserve() -> None:
        got.append(await scope.reserve(CALL))
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reserve)
        for _ in range(checkpoints):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert len(ledger.events()) == 1 + len(got) and scope.view().held == (CALL if got else Cost())


async def test_a_cancelled_repetition_leaves_the_first_hold(scope: Scope) -> None:
    hold = await scope.reserve(CALL, id="once", dispatch=True)
    for checkpoints in range(1, 4):
        await _cancelled_after(checkpoints, scope.reserve(CALL, id="once"))
    assert hold.state == "dispatched" and scope.view().held == CALL


async def test_a_cancelled_settlement_is_made(scope: Scope) -> None:
    for attempt in range(30):
        hold = await scope.reserve(Cost(usd=5), dispatch=True)
        await _cancelled_after(attempt % 3 + 1, hold.settle(Cost(usd=1)))
        assert scope.view().held == Cost() and scope.view().spent == Cost(usd=attempt + 1)


async def _cancelled_after(checkpoints: int, operation: Coroutine[object, object, object]) -> None:
    task = asyncio.ensure_future(operation)
    for _ in range(checkpoints):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_a_cancelled_waiter_holds_nothing(scope: Scope) -> None:
    await scope.reserve(Cost(usd=80))
    with anyio.move_on_after(0.05) as waiting:
        await scope.reserve(Cost(usd=90), deadline=anyio.current_time() + 60)
    assert waiting.cancelled_caught and scope.view().held == Cost(usd=80)


async def test_many_tasks_never_pass_the_limit(ledger: Ledger, scope: Scope) -> None:
    children = [scope.share({"usd": 30}) for _ in range(8)]

    async def work(child: Scope) -> None:
        for _ in range(4):
            hold = await child.reserve(Cost(usd=20), deadline=anyio.current_time() + 60)
            await hold.dispatch()
            assert (view := scope.view()).held["usd"] + view.spent["usd"] <= 100  # of one moment, not of two
            await hold.settle(Cost(usd=2))

    async with anyio.create_task_group() as tasks:
        for child in children:
            tasks.start_soon(work, child)
    assert scope.view().spent == Cost(usd=64) and await ledger.verify() == []


def test_threads_with_their_own_loops_never_pass_the_limit(ledger: Ledger, scope: Scope) -> None:
    granted: list[Hold] = []

    async def work() -> None:
        for _ in range(10):
            try:
                granted.append(await scope.reserve(Cost(usd=3)))
            except Saturated:
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=anyio.run, args=(work,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(granted) == 33 and scope.view().held == Cost(usd=99)
    assert anyio.run(ledger.verify) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # Python 3.12
def test_a_forked_child_is_refused(scope: Scope) -> None:
    hold = anyio.run(scope.reserve, CALL)
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            refused = _refused(hold.dispatch) + _refused(scope.reserve, CALL) + _refused(scope.close)
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert hold.state == "reserved"


def _refused(operation: Callable[..., Awaitable[object]], *arguments: object) -> bool:
    try:
        anyio.run(operation, *arguments)
    except LedgerError as error:
        return "fork" in str(error)
    return False


@pytest.mark.parametrize(
    "url",
    ["", "memory", "postgresql://host/db", "sqlite:///", "sqlite:///x?durability=maybe", "sqlite:///x?wal=1"],
)
def test_unknown_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Ledger.open(url)
