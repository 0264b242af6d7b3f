"""Recorded calls of N callers under one limit, in virtual time: the policy decides, the real ledger keeps books.

A caller takes the next call that has arrived and is busy until it is over. The provider reads and makes tokens at
a steady rate, keeps a bill of its own, and now and then a connection breaks. One that bills `streamed` tokens
tells with each token what it bills, and stops at a disconnect; one that bills `full` makes the reply to its end,
and sends no usage record after a disconnect, so that the ledger charges the full hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random
from statistics import fmean
from typing import Literal

from agentkit.budgets import Hold, Ledger, Scope
from agentkit.budgets.length import OutputLengths
from agentkit.costs import Cost
from agentkit.errors import BudgetExceeded, Saturated, ScopeFrozen
from agentkit.evals.benches.policies_rules import CAP, KIND, REFUSE, WAIT, Ask, Decision, Policy, Room
from agentkit.evals.benches.policies_traces import Recorded

READ_PER_S, MADE_PER_S = 8_000, 80
"""Tokens a second of one call."""
BUDGET_CALLS = 64
"""Mean calls that the limit pays for."""
WANTED = 2.0
"""What the recorded calls need in all, over the limit."""
PAST = 500
"""Recorded calls before the first one, whose lengths are known."""
MOST_CALLS = 600
"""Recorded calls that are kept for the last window."""
BROKEN = 0.02
"""Share of the calls whose connection breaks on the way."""
_EXTENSION = 64
"""Tokens; a hold grows by half of its output, and by no less."""

Bill = Literal["streamed", "full"]


@dataclass(frozen=True, slots=True)
class Call:
    """A recorded call, and after how many tokens of its reply the connection breaks, None for never."""

    recorded: Recorded
    breaks_at: int | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Calls in the order of arrival for so many callers, the calls before them, the limit in tokens, the bill."""

    callers: int
    bill: Bill
    limit: int
    past: Sequence[Recorded]
    calls: Sequence[Call]

    @classmethod
    def draw(cls, trace: Sequence[Recorded], callers: int, bill: Bill, seed: int) -> Scenario:
        """Cut a window out of `trace`, its clock set so that on average all callers are busy.

        It lies in the second half of the trace; the default policy was chosen on windows of the first.
        """
        draw = Random(f"{seed} {callers}")
        limit = round(BUDGET_CALLS * fmean(call.prompt + call.reply for call in trace))
        window: list[Recorded] = []
        start = place = draw.randrange(len(trace) // 2, len(trace) - MOST_CALLS)
        while sum(call.prompt + call.reply for call in window) < WANTED * limit:
            window.append(trace[place])
            place += 1
        busy = fmean(_seconds(call.prompt, call.reply) for call in trace)
        pace = len(trace) * busy / (callers * (trace[-1].arrival - trace[0].arrival))
        calls: list[Call] = []
        for call in window:
            arrival = (call.arrival - window[0].arrival) * pace
            breaks_at = draw.randrange(call.reply) if draw.random() < BROKEN else None
            calls.append(Call(Recorded(arrival, call.prompt, call.reply), breaks_at))
        return cls(callers, bill, limit, trace[start - PAST : start], calls)


@dataclass(slots=True)
class Outcome:
    """What came of it: tokens billed and charged, the calls by how they ended, tokens of the completed ones.

    A completed call counts its prompt and its reply once, whatever pieces it took; `further` are the pieces that
    went on with a cut reply, `overruns` the pieces billed above their hold. `makespan` is the virtual second of
    the last end, `in_flight` the most calls under way at once.
    """

    billed: int = 0
    charged: int = 0
    completed: int = 0
    completed_tokens: int = 0
    truncated: int = 0
    truncated_tokens: int = 0
    broken: int = 0
    refused: int = 0
    further: int = 0
    overruns: int = 0
    makespan: float = 0.0
    in_flight: int = 0


@dataclass(eq=False, slots=True)
class _Attempt:
    """A call on its way: tokens of the reply from earlier pieces, and the piece that is under way."""

    call: Call
    scope: Scope
    made: int = 0
    cost: int = 0
    cap: int = 0
    piece: int = 0
    breaks: bool = False
    hold: Hold | None = None

    @property
    def ask(self) -> Ask:
        return Ask(self.call.recorded.prompt + self.made, self.made)


async def play(scenario: Scenario, policy: Policy) -> Outcome:
    """Play `scenario` under `policy` to its end."""
    with Ledger.open() as ledger:
        return await _World(scenario, policy, ledger.scope("app", limits={"tokens": scenario.limit})).run()


class _World:
    def __init__(self, scenario: Scenario, policy: Policy, app: Scope) -> None:
        self._policy, self._bill, self._app = policy, scenario.bill, app
        self._outcome = Outcome()
        self._idle = [app.share(name=f"caller-{number}") for number in range(scenario.callers)]
        self._arrived: deque[Call] = deque()
        self._waiting: list[_Attempt] = []
        self._under_way = 0
        self._now = 0.0
        self._events: list[tuple[float, int, Call | _Attempt]] = []
        self._numbers = count()  # what happens at the same time happens in the order it was planned
        for call in scenario.calls:
            self._at(call.recorded.arrival, call)
        self._lengths = OutputLengths(policy.quantile)
        for past in scenario.past:
            self._lengths.observe(KIND, past.reply, cut=False)
        self._mean = round(fmean(past.reply for past in scenario.past))

    async def run(self) -> Outcome:
        """Let one thing happen after the other, and after each let calls leave."""
        while self._events:
            self._now, _, event = heappop(self._events)
            if isinstance(event, Call):
                self._arrived.append(event)
            else:
                await self._made(event)
            await self._admit()
        self._outcome.charged = self._app.view().spent["tokens"]
        return self._outcome

    # ------------------------------------------------------------ leaving
    async def _admit(self) -> None:
        """Ask the policy about every call of a caller, cut replies first, until nothing changes."""
        changed = True
        while changed:
            while self._idle and self._arrived:
                self._waiting.append(_Attempt(self._arrived.popleft(), self._idle.pop()))
            self._waiting.sort(key=lambda attempt: attempt.made == 0)  # stable: else in the order of arrival
            changed, room = False, self._room()
            for attempt in tuple(self._waiting):
                decision = REFUSE if room is None else self._decide(attempt, room)
                if decision == WAIT:
                    continue
                self._waiting.remove(attempt)
                if decision == REFUSE:
                    self._give_up(attempt)
                else:
                    await self._leave(attempt, decision)
                changed, room = True, self._room()

    def _room(self) -> Room | None:
        """Return what the ledger says, None once an overrun has frozen the scope."""
        view = self._app.view()
        return (
            None if view.frozen else Room(view.available["tokens"], not self._under_way, self._bill == "streamed")
        )

    def _decide(self, attempt: _Attempt, room: Room) -> Decision:
        return self._policy.decide(attempt.ask, room, self._lengths, self._mean)

    async def _leave(self, attempt: _Attempt, cap: int) -> None:
        held = self._policy.held(attempt.ask, cap, self._mean)
        attempt.hold = await attempt.scope.reserve(Cost(tokens=held, requests=1), dispatch=True)
        attempt.cap, attempt.piece = cap, 0
        self._under_way += 1
        self._outcome.further += attempt.made > 0
        self._outcome.in_flight = max(self._outcome.in_flight, self._under_way)
        self._make(attempt, _seconds(attempt.ask.prompt, 0))

    def _give_up(self, attempt: _Attempt) -> None:
        if attempt.made:
            self._end(attempt, truncated=True)
        else:
            self._outcome.refused += 1
            self._idle.append(attempt.scope)

    # ------------------------------------------------------------ the provider
    def _make(self, attempt: _Attempt, seconds: float) -> None:
        """Make tokens up to the cap, the end of the reply, or the break."""
        call, before = attempt.call, attempt.piece
        piece = min(attempt.cap, call.recorded.reply - attempt.made)
        attempt.breaks = call.breaks_at is not None and call.breaks_at < attempt.made + piece
        attempt.piece = call.breaks_at - attempt.made if attempt.breaks and call.breaks_at is not None else piece
        self._at(self._now + seconds + _seconds(0, attempt.piece - before), attempt)

    async def _made(self, attempt: _Attempt) -> None:
        """A piece is at its end: extend its hold, or settle it and see what the reply has come to."""
        reply = attempt.call.recorded.reply
        cut = not attempt.breaks and attempt.made + attempt.piece < reply
        if cut and self._policy.extends and self._bill == "streamed" and await self._extended(attempt):
            self._make(attempt, 0.0)
            return
        await self._settle(attempt)
        self._under_way -= 1
        attempt.made += attempt.piece
        if attempt.breaks:
            self._outcome.broken += 1
            self._idle.append(attempt.scope)
        elif cut and self._policy.continues:
            self._waiting.append(attempt)
        else:
            self._end(attempt, truncated=cut)

    async def _extended(self, attempt: _Attempt) -> bool:
        assert attempt.hold is not None
        more = min(CAP - attempt.made - attempt.cap, max(_EXTENSION, attempt.cap // 2))
        try:
            await attempt.hold.extend({"tokens": more})
        except (BudgetExceeded, Saturated, ScopeFrozen):
            return False
        attempt.cap += more
        return True

    async def _settle(self, attempt: _Attempt) -> None:
        """The provider writes its bill; the ledger is told what a caller would know of it."""
        assert attempt.hold is not None
        prompt, known = attempt.ask.prompt, True
        billed = prompt + attempt.piece
        if attempt.breaks and self._bill == "full":
            billed = prompt + min(attempt.cap, attempt.call.recorded.reply - attempt.made)
            known = self._policy.holds != "cap"  # those who hold less cannot charge the hold; give them the bill
        self._outcome.billed += billed
        attempt.cost += billed
        receipt = await attempt.hold.settle(Cost(tokens=billed, requests=1) if known else None)
        self._outcome.overruns += bool(receipt.overrun)

    # ------------------------------------------------------------ ends
    def _end(self, attempt: _Attempt, *, truncated: bool) -> None:
        recorded, outcome = attempt.call.recorded, self._outcome
        if truncated:
            outcome.truncated += 1
            outcome.truncated_tokens += attempt.cost
        else:
            outcome.completed += 1
            outcome.completed_tokens += recorded.prompt + recorded.reply
        self._lengths.observe(KIND, attempt.made, cut=truncated)
        outcome.makespan = self._now
        self._idle.append(attempt.scope)

    def _at(self, time: float, event: Call | _Attempt) -> None:
        heappush(self._events, (time, next(self._numbers), event))


def _seconds(read: int, made: int) -> float:
    return read / READ_PER_S + made / MADE_PER_S
