"""Every fault × every dialect × streamed or not, through an agent with a real ledger.

However a call goes wrong, it ends in an answer or a typed error, on time by a patient clock, and the books hold:
what a usage record said is charged to the nano-dollar, what none said at its bound, which the bill never passes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import UnionType

import anyio
import pytest

from agentkit import Agent, Answer, Budget
from agentkit.backends.provider import FAULTS, Billed, Fault, Provider, Reply
from agentkit.backends.provider.bill import total
from agentkit.backends.provider.server import Dialect
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger, Scope
from agentkit.errors import BackendError, BackendTimeout, BackendUnavailable, BadResponse, Overloaded, RateLimited
from agentkit.executor.resilience import Resilience
from agentkit.http import Timeouts
from agentkit.messages import ToolCall
from agentkit.tools import tool
from agentkit.types import Request
from tests.backends.dialects import DIALECTS, remote
from tests.patient import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

LIMITS = Timeouts(connect=30, first_token=30, between_chunks=30, total=60)
SHORT = Timeouts(connect=5, first_token=0.1, between_chunks=0.1, total=0.2)  # for what can only end by them
TEXT = "High tide is at noon today."
ENDS: Mapping[Fault, tuple[type | UnionType, type | UnionType]] = {
    "rate_limited": (RateLimited, RateLimited),
    "rate_limited_with_pause": (RateLimited, RateLimited),
    "server_error": (BackendUnavailable, BackendUnavailable),
    "overloaded": (Overloaded, Overloaded),
    "reset": (BackendUnavailable, BackendUnavailable | Answer),
    "stall_first": (BackendTimeout, BackendTimeout),
    "stall_middle": (BackendTimeout, BackendTimeout | Answer),
    "truncated_json": (BadResponse, BadResponse | Answer),
    "truncated_stream": (BackendUnavailable, BackendUnavailable | Answer),
    "wrong_content_type": (BadResponse, BadResponse),
    "duplicated_chunk": (BadResponse, BadResponse | Answer),
    "missing_usage": (Answer, Answer),
    "doubled_usage": (Answer, Answer),
}
"""How a single call ends, whole and streamed; a stream that breaks behind its last word is an answer."""


def new_provider() -> Provider:
    return Provider(Reply(TEXT, thinking="The moon is high."), pause=0.05)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with new_provider() as provider:
        yield provider


async def ask(agent: Agent, scope: Scope, stream: bool) -> Answer | BackendError:
    """Run a task; returns the answer, or the typed error it ended with."""
    try:
        if not stream:
            return await agent.run("When is high tide?", scope=scope)
        async with agent.stream("When is high tide?", scope=scope) as events:
            *_, answer = [event async for event in events]
        assert isinstance(answer, Answer)
        return answer
    except BackendError as error:
        return error


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open() as ledger:
        yield ledger


async def check_books(ledger: Ledger, scope: Scope, bill: Sequence[Billed]) -> None:
    """Nothing is held or settled twice; what was recorded is on the bill, and the bill is covered."""
    assert await ledger.verify() == []
    receipts, view = scope.receipts(), scope.view()
    assert len({receipt.id for receipt in receipts}) == len(receipts)
    recorded = Counter(r.charged["usd"] for r in receipts if r.charged["usd"] and not r.estimated)
    assert recorded <= Counter(line.nano_usd for line in bill)
    assert not view.held and view.spent["usd"] >= total(bill)["usd"]
    if not any(receipt.estimated for receipt in receipts):
        assert view.spent["usd"] == total(bill)["usd"]


ALL = pytest.mark.parametrize(
    ("dialect", "fault", "stream"),
    [
        pytest.param(dialect, fault, stream, id=f"{dialect}-{fault}-{'streamed' if stream else 'whole'}")
        for dialect in DIALECTS
        for fault in FAULTS
        for stream in (False, True)
    ],
)


@ALL
async def test_a_fault_ends_on_time_and_the_books_hold(
    dialect: Dialect, fault: Fault, stream: bool, provider: Provider, ledger: Ledger
) -> None:
    stalls = fault.startswith("stall")
    limits = SHORT if stalls else LIMITS
    # a call that is given up may be read late, and shall not take the fault of the next test
    with new_provider() if stalls else nullcontext(provider) as provider:
        provider.bill.clear()
        provider.expect([fault])
        backend = remote(dialect, provider, timeouts=limits)
        agent = Agent(backend, resilience=Resilience(retry=RetryPolicy.never()), max_output_tokens=50)
        scope = ledger.scope("test", limits=Budget(usd="1").limits())
        start = anyio.current_time()
        outcome = await ask(agent, scope, stream)
        assert anyio.current_time() - start < limits.total + 1
        await backend.aclose()
    assert isinstance(outcome, ENDS[fault][stream]), repr(outcome)
    if fault == "duplicated_chunk" and dialect == "openai-responses" and stream:  # whose events are numbered
        assert isinstance(outcome, Answer) and outcome.text == TEXT
    if fault == "doubled_usage":
        assert not any(receipt.estimated for receipt in scope.receipts())
    await check_books(ledger, scope, provider.bill)


BREAKS: Sequence[Fault] = ("reset", "truncated_json", "truncated_stream", "duplicated_chunk")
WANTED = {"city": "Paris", "days": 3}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_half_a_call_is_never_carried_out(dialect: Dialect, ledger: Ledger) -> None:
    """Wherever its stream breaks: a tool runs with what the model meant, or not at all."""
    ran: list[dict[str, object]] = []

    @tool
    async def weather(city: str, days: int) -> str:
        "Tell the weather."
        ran.append({"city": city, "days": days})
        return "sunny"

    def script(request: Request) -> Reply:
        asked = request.messages[-1].role != "tool"
        return Reply(calls=(ToolCall("", "weather", json.dumps(WANTED)),)) if asked else Reply(TEXT)

    with Provider(script) as provider:
        scope = ledger.scope("test", limits=Budget(usd="1").limits())
        backend = remote(dialect, provider, timeouts=LIMITS)
        once = Resilience(retry=RetryPolicy(first_pause=0.001))
        agent = Agent(backend, tools=[weather], resilience=once, max_output_tokens=50)
        for fault in [fault for fault in BREAKS for _ in range(4)]:  # each at another place
            provider.expect([fault])
            ran.clear()
            assert isinstance(await ask(agent, scope, stream=True), Answer)
            assert all(call == WANTED for call in ran), fault
            assert ran or fault == "duplicated_chunk"  # arguments that were said twice are none
        await check_books(ledger, scope, provider.bill)
        await backend.aclose()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_one_fault_is_outlived_by_default(
    dialect: Dialect, stream: bool, provider: Provider, ledger: Ledger
) -> None:
    """Only the pauses are shorter. A stream may end with an error: what was shown is not taken back."""
    provider.bill.clear()
    scope = ledger.scope("test", limits=Budget(usd="1").limits())
    for fault in FAULTS:
        if fault.startswith("stall"):  # which takes all the time a call has
            continue
        provider.expect([fault])
        backend = remote(dialect, provider, timeouts=LIMITS)
        agent = Agent(backend, resilience=Resilience(retry=RetryPolicy(first_pause=0.001)), max_output_tokens=50)
        outcome = await ask(agent, scope, stream)
        await backend.aclose()
        assert stream or (isinstance(outcome, Answer) and outcome.text == TEXT), (fault, outcome)
    await check_books(ledger, scope, provider.bill)
