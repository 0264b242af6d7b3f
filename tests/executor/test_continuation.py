"""A reply that a smaller cap has cut goes on in further pieces: joined exactly, paid for, and never for ever."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.answer import Answer
from agentkit.backends.fake import SCRIPTED, Script, ScriptedBackend, calls
from agentkit.budgets import Hold, Ledger
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, ContextOverflow
from agentkit.executor.continuation import LEAST_PIECE, MOST_PIECES
from agentkit.messages import assistant, user
from agentkit.routers import Outcome, Query, RuleRouter
from agentkit.routers.base import Decision
from agentkit.trace import Failed, Retried
from agentkit.types import Completion, ModelCard, Request, ScopeView
from agentkit.wrap_up import CONTINUE
from tests.scenario import TASK, agent, check_answer, check_books, find_order

pytestmark = pytest.mark.anyio

LONG = " ".join(f"word{n}" for n in range(300))
CAP = 400
GOOD = calls(("find_order", {"number": 7}))


class Watching(RuleRouter):
    """Keeps what it was shown last."""

    seen: Sequence[Outcome] = ()

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Decide as ever."""
        self.seen = tuple(seen)
        return super().next(query, candidates, seen, view)


class Neighbour(ScriptedBackend):
    """A model beside which somebody holds room of the same budget, and gives a part of it back at every call."""

    def __init__(self, replies: Script, *, prefill: bool = False) -> None:
        capabilities = replace(SCRIPTED.capabilities, prefill=prefill)
        super().__init__(replies, card=replace(SCRIPTED, capabilities=capabilities), bill="full")
        self.held: list[Hold] = []
        self.router = Watching()

    async def complete(self, request: Request) -> Completion:
        """Let the neighbour give back what comes next, then reply."""
        if self.held:
            await self.held.pop(0).void()
        return await super().complete(request)


async def run_beside(backend: Neighbour, available: int, *given_back: int, cap: int = CAP) -> Answer[str]:
    """Run with `available` tokens at first and more after every call; checks books and answer."""
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": available + sum(given_back)})
        backend.held = [await scope.reserve(Cost(tokens=tokens)) for tokens in given_back]
        subject = agent(backend, tools=(find_order,), max_output_tokens=cap, router=backend.router)
        answer = await subject.run(TASK, budget="unlimited", scope=scope)
        for hold in backend.held:
            await hold.void()
        await check_books(ledger, scope, backend)
    check_answer(answer)
    return answer


@pytest.mark.parametrize("prefill", [False, True])
async def test_the_pieces_of_a_reply_make_the_whole(prefill: bool) -> None:
    backend = Neighbour(LONG, prefill=prefill)
    answer = await run_beside(backend, 250, 300, 3_000)
    assert (answer.status, answer.text, answer.messages[-1].text) == ("complete", LONG, LONG)
    first, second, third = backend.requests
    said = len(second.messages[-1 if prefill else -2].text)
    assert 0 < said < len(LONG)
    asked = () if prefill else (user(CONTINUE),)
    assert second.messages == (*first.messages, assistant(LONG[:said]), *asked)
    (outcome,) = backend.router.seen
    assert outcome.cost == backend.billed
    assert first.max_output_tokens + second.max_output_tokens + third.max_output_tokens == CAP
    assert len([e for e in answer.trace if isinstance(e.event, Retried)]) == 2


@settings(max_examples=40)
@given(available=st.integers(100, 500), given_back=st.lists(st.integers(0, 800), max_size=MOST_PIECES + 2))
def test_whatever_comes_free_the_text_is_a_beginning_of_the_reply(available: int, given_back: list[int]) -> None:
    backend = Neighbour(LONG)
    answer = anyio.run(run_beside, backend, available, *given_back)
    pieces = [request for request in backend.requests if request.tools]
    assert len(pieces) <= MOST_PIECES
    if pieces:
        assert LONG.startswith(answer.text) and (answer.text == LONG) == (answer.status == "complete")


async def test_a_reply_ends_where_the_budget_affords_no_piece_that_pays() -> None:
    """The prompt again and one token less than a piece must have."""
    backend = Neighbour(LONG)
    await run_beside(backend, 300, 0)
    (first,) = backend.requests
    again = backend.bound(replace(first, messages=(*first.messages, assistant(LONG), user(CONTINUE))))
    for missing, requests in ((0, 2), (1, 1)):
        words = len(LONG.split()) - first.max_output_tokens
        exact = again.at(LEAST_PIECE)["tokens"] - words
        backend = Neighbour(LONG)
        answer = await run_beside(backend, 300, exact - missing)
        assert len(backend.requests) == requests and answer.stop_reason == "truncated"


async def test_a_reply_has_so_many_pieces_and_no_more() -> None:
    backend = Neighbour("word " * 3_000)
    given_back = [240 + 80 * piece for piece in range(2 * MOST_PIECES)]
    answer = await run_beside(backend, 200, *given_back, cap=3_000)
    assert len(backend.requests) == MOST_PIECES and answer.stop_reason == "truncated"


async def test_a_cap_that_the_agent_set_is_the_end() -> None:
    backend = Neighbour(" ".join(["word"] * (CAP + 1)))
    answer = await run_beside(backend, 10_000)
    assert (answer.stop_reason, len(answer.text.split()), len(backend.requests)) == ("truncated", CAP, 1)


async def test_a_cut_inside_a_tool_call_is_not_gone_on_with() -> None:
    backend = Neighbour(calls(("find_order", {"number": 7, "why": LONG}), text="Let me look."))
    await run_beside(backend, 200, 3_000)
    assert [request.messages[-1].role for request in backend.requests[:2]] == ["user", "tool"]


async def test_a_further_piece_may_end_in_a_tool_call() -> None:
    backend = Neighbour([replace(GOOD, message=assistant(LONG, GOOD.message.tool_calls)), "It has shipped."])
    answer = await run_beside(backend, 300, 3_000)
    assert answer.text == "It has shipped."
    turn = next(message for message in answer.messages if message.tool_calls)
    assert turn.text == LONG and [call.name for call in turn.tool_calls] == ["find_order"]


@pytest.mark.parametrize(
    "error", [BackendUnavailable("scripted", "gone"), ContextOverflow("scripted", 9, 8)], ids=["down", "too long"]
)
async def test_when_a_further_piece_fails_what_there_is_stays(error: Exception) -> None:
    class Fails(Neighbour):
        async def complete(self, request: Request) -> Completion:
            if request.messages[-1] == user(CONTINUE):
                raise error
            return await super().complete(request)

    backend = Fails(LONG)
    answer = await run_beside(backend, 300, 3_000)
    assert answer.stop_reason == "truncated" and answer.text and LONG.startswith(answer.text)
    assert backend.router.seen[0].cost == answer.spent
    assert [e.event.where for e in answer.trace if isinstance(e.event, Failed)] == ["model:scripted"]


async def test_half_a_character_is_not_gone_on_with() -> None:
    class Bytes(Neighbour):
        async def complete(self, request: Request) -> Completion:
            reply = await super().complete(request)
            if reply.finish_reason == "stop":
                return reply
            return replace(reply, message=assistant(reply.message.text + "\ufffd"))

    answer = await run_beside(Bytes(LONG), 300, 3_000)
    assert answer.text == LONG
