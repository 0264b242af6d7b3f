"""Running tools: results, failures, timeouts, threads and cancellation."""

import contextvars
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any

import anyio
import pytest

from agentkit.errors import BackendUnavailable, BudgetExceeded, ToolFailed
from agentkit.messages import ToolCall, ToolResult
from agentkit.tools import Context, Tool, invoke, tool
from agentkit.types import ToolSpec
from tests.virtual import in_virtual_time

pytestmark = pytest.mark.anyio


@dataclass
class Shop:
    prices: dict[str, Decimal]


def sync_price(shop: Context[Shop], item: str, count: int = 1) -> dict[str, Any]:
    return {"item": item, "total": shop.value.prices[item] * count}


async def async_price(shop: Context[Shop], item: str, count: int = 1) -> dict[str, Any]:
    return sync_price(shop, item, count)


@wraps(async_price)
def wrapped_price(*args: Any, **kwargs: Any) -> Awaitable[dict[str, Any]]:
    return async_price(*args, **kwargs)


KINDS = pytest.mark.parametrize(
    "function", [sync_price, async_price, wrapped_price], ids=["sync", "async", "wrapped"]
)


def calling(made: Tool, **arguments: Any) -> ToolCall:
    return ToolCall("call-1", made.name, json.dumps(arguments))


def raising(error: BaseException, *, threaded: bool) -> Tool:
    def fail_sync() -> None:
        raise error

    async def fail_async() -> None:
        raise error

    return tool(name="fail")(fail_sync if threaded else fail_async)


@KINDS
async def test_arguments_and_context_arrive_and_the_result_comes_back(function: Callable[..., Any]) -> None:
    made = tool(function)
    shop = Shop({"pen": Decimal("1.25")})
    result = await invoke(made, calling(made, item="pen", count=2), shop)
    assert result == ToolResult("call-1", made.name, '{"item":"pen","total":2.50}')


async def test_the_scope_of_the_call_reaches_the_tool() -> None:
    @tool
    async def spend(context: Context[None]) -> bool:
        return context.scope is scope

    scope: Any = object()
    assert (await invoke(spend, calling(spend), None, scope)).content == "true"


async def test_a_tool_may_be_built_by_hand() -> None:
    async def relay(arguments: Any, context: Context[Any]) -> object:
        return [dict(arguments), context.value]

    made = Tool(ToolSpec("relay", "", {"type": "object"}), relay)
    assert (await invoke(made, calling(made, a=1), "deps")).content == '[{"a":1},"deps"]'


async def test_wrong_arguments_are_told_to_the_model_and_nothing_runs() -> None:
    ran = []

    @tool
    def record(count: int) -> None:
        ran.append(count)

    result = await invoke(record, calling(record, count="3", cout=1))
    assert result.is_error and not ran
    assert result.content == (
        "Error: arguments of 'record' are wrong: 'count': should be a valid integer, not \"3\"; "
        "write it without quotes; 'cout' is unknown; did you mean 'count'?"
    )


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize(
    ("error", "content"),
    [
        (KeyError("pen"), "Error: tool 'fail' failed: KeyError: 'pen'"),
        (TimeoutError("socket"), "Error: tool 'fail' failed: TimeoutError: socket"),
        (StopIteration(), "Error: tool 'fail' failed: RuntimeError: coroutine raised StopIteration"),
        (ToolFailed("shop", "closed on Sundays"), "Error: tool 'shop' failed: closed on Sundays"),
        (BackendUnavailable("nano", "gone"), "Error: tool 'fail' failed: BackendUnavailable: model 'nano': gone"),
        (
            ExceptionGroup("", [ValueError("a"), ExceptionGroup("", [OSError("b")])]),
            "Error: tool 'fail' failed: ValueError: a; OSError: b",
        ),
        (ExceptionGroup("", [ToolFailed("shop", "closed")]), "Error: tool 'shop' failed: closed"),
    ],
)
async def test_exceptions_become_text(error: Exception, content: str, threaded: bool) -> None:
    made = raising(error, threaded=threaded)
    assert await invoke(made, calling(made)) == ToolResult("call-1", "fail", content, is_error=True)


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("wrap", [False, True])
async def test_a_refused_budget_passes_through(wrap: bool, threaded: bool) -> None:
    refused = BudgetExceeded("run-1", "usd", 2, 1)
    made = raising(ExceptionGroup("", [ToolFailed("a", "b"), refused]) if wrap else refused, threaded=threaded)
    with pytest.raises(BudgetExceeded) as caught:
        await invoke(made, calling(made))
    assert caught.value is refused


class Interrupt(BaseException):
    """Stands for KeyboardInterrupt and SystemExit, which would end the test run."""


@pytest.mark.parametrize("threaded", [True, False])
async def test_interrupts_pass_through(threaded: bool) -> None:
    made = raising(Interrupt(), threaded=threaded)
    with pytest.raises(Interrupt):
        await invoke(made, calling(made))


async def test_a_result_without_a_text_form_is_an_error() -> None:
    @tool
    async def leak() -> object:
        return object()

    result = await invoke(leak, calling(leak))
    assert result.is_error and "Unable to serialize unknown type" in result.content


@pytest.mark.parametrize("fails", [True, False])
async def test_long_results_and_errors_are_cut_at_the_limit(fails: bool) -> None:
    @tool
    async def talk() -> str:
        if fails:
            raise ValueError("x" * 100)
        return "x" * 100

    content = (await invoke(talk, calling(talk), limit=50)).content
    head, note = content.split("\n")
    assert len(head) == 50 and note.startswith("[truncated: 50 of 1")


@in_virtual_time
async def test_an_async_tool_is_cancelled_at_its_timeout() -> None:
    cleaned = []

    @tool(timeout=0.05)
    async def hang() -> None:
        try:
            await anyio.sleep(30)
        finally:
            cleaned.append(True)

    result = await invoke(hang, calling(hang))
    assert result == ToolResult("call-1", "hang", "Error: tool 'hang' gave no result within 0.05 s", is_error=True)
    assert cleaned and anyio.current_time() == pytest.approx(0.05)


async def test_a_sync_tool_is_left_behind_at_its_timeout() -> None:
    release = threading.Event()

    @tool(timeout=0.05)
    def hang() -> None:
        release.wait(60)  # else it gives a result

    try:
        result = await invoke(hang, calling(hang))
        assert result.is_error and "no result within 0.05 s" in result.content
    finally:
        release.set()


async def test_without_a_timeout_a_slow_tool_finishes() -> None:
    @tool(timeout=None)
    async def slow() -> str:
        await anyio.sleep(0.02)
        return "done"

    assert (await invoke(slow, calling(slow))).content == "done"


async def test_sync_tools_run_off_the_event_loop_with_its_context_variables() -> None:
    request = contextvars.ContextVar("request", default="")
    request.set("r-1")

    @tool
    def where() -> list[object]:
        return [threading.current_thread() is threading.main_thread(), request.get()]

    @tool
    async def here() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert (await invoke(where, calling(where))).content == '[false,"r-1"]'
    assert (await invoke(here, calling(here))).content == "true"


async def test_sync_tools_run_beside_each_other() -> None:
    meet = threading.Barrier(3, timeout=60)

    @tool
    def wait() -> int:
        return meet.wait()

    contents: list[str] = []

    async def one() -> None:
        contents.append((await invoke(wait, calling(wait))).content)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    assert sorted(contents) == ["0", "1", "2"]


@pytest.mark.parametrize("threaded", [True, False])
async def test_cancellation_passes_through(threaded: bool) -> None:
    release, started = threading.Event(), anyio.Event()
    outlived: list[object] = []

    @tool
    def sync_hang() -> None:
        anyio.from_thread.run_sync(started.set)
        outlived.append(release.wait(60))

    @tool
    async def async_hang() -> None:
        started.set()
        await anyio.sleep(60)
        outlived.append(True)

    made = sync_hang if threaded else async_hang

    async def run() -> None:
        outlived.append(await invoke(made, calling(made)))

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await started.wait()
            group.cancel_scope.cancel()
        assert not outlived
    finally:
        release.set()
