"""What must hold, as plain functions of a subject; each raises Violation, and knows no test runner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from agentkit.evals.conformance.provider import Child, Provider
from agentkit.evals.conformance.subject import Account, Feature, Recorded, Subject

LIMIT = 1_000
"""Tokens; two replies of 400 fit, a third does not."""
TEAM_LIMIT = 450
"""Tokens; room for one reply of 400."""
PATIENCE = 60.0
"""Seconds; a case takes less than one, so this is a run that hangs."""


class Violation(AssertionError):
    """The subject did what must not happen; the text says what, in figures of the provider's bill."""


@dataclass(frozen=True, slots=True)
class Case:
    """A check of a subject and the features it needs."""

    check: Callable[[Subject], Awaitable[None]]
    needs: Sequence[Feature] = ()

    def reason_to_skip(self, subject: Subject) -> str | None:
        """Return why the subject cannot be put through this case, None when it can."""
        missing = (f"{subject.title}: {subject.lacks[need]}" for need in self.needs if need in subject.lacks)
        return next(missing, None)


# ---------------------------------------------------------------- the limit
async def fan_out(subject: Subject, children: int) -> None:
    """Children that start at once never pass the limit they share, and at least one of them is served."""
    provider, _ = await _run(subject, LIMIT, _children(children))
    _check_limit(provider, LIMIT)
    _check_served(provider, 1)


async def one_by_one(subject: Subject) -> None:
    """Children that run one after another never pass the limit they share."""
    provider, _ = await _run(subject, LIMIT, _children(4), at_once=False)
    _check_limit(provider, LIMIT)
    _check_served(provider, 2)


async def no_room(subject: Subject) -> None:
    """A call that cannot fit the limit does not leave."""
    limit = 5
    provider, recorded = await _run(subject, limit, _children(1))
    _check_limit(provider, limit)
    _check_equal(provider, recorded)


async def nested_limits(subject: Subject) -> None:
    """A team stays within its own limit, and all teams together within the limit around them."""
    provider = Provider()
    teams = [_children(4, first=4 * team) for team in range(4)]

    async def work(account: Account) -> None:
        async with anyio.create_task_group() as group:
            for team in teams:
                group.start_soon(account.nested, TEAM_LIMIT, partial(_work, provider=provider, children=team))

    await _within_patience(subject, provider, LIMIT, work)
    for team in teams:
        _check_limit(provider, TEAM_LIMIT, team)
    _check_limit(provider, LIMIT)
    _check_served(provider, 1)


# ---------------------------------------------------------------- the books
async def books_at_the_limit(subject: Subject, children: int) -> None:
    """The books equal the bill after a fan-out that was refused in part: what did not leave left no trace."""
    provider, recorded = await _run(subject, LIMIT, _children(children))
    _check_equal(provider, recorded)


async def books_after_hanging_up(subject: Subject) -> None:
    """The books equal the bill when half of the children are cancelled while their calls are under way.

    No usage record comes for those; their replies are as long as their cap, so the bound of a call is its bill.
    """
    children = [replace(child, hangs_up=child.number % 2 == 0) for child in _children(8)]
    provider, recorded = await _run(subject, None, children)
    _check_equal(provider, recorded)


async def books_without_a_record(subject: Subject) -> None:
    """The books are not below the bill when a reply comes without its usage record."""
    children = [replace(child, lost_record=child.number == 0) for child in _children(4)]
    provider, recorded = await _run(subject, None, children)
    billed, calls = provider.billed()
    if recorded.tokens < billed:
        raise Violation(
            f"{_bill(billed, calls)}, one of them without a usage record; the books say {recorded.tokens:,}"
        )


async def books_after_a_retry(subject: Subject) -> None:
    """The books equal the bill when a call breaks after it was billed and a second attempt succeeds."""
    provider, recorded = await _run(subject, None, [Child(0, failures=1)])
    _check_served(provider, 1)
    _check_equal(provider, recorded)


async def nothing_held(subject: Subject) -> None:
    """Nothing stays reserved after refusals, a cancellation and a broken call."""
    first, second, *others = _children(8)
    children = [replace(first, failures=1), replace(second, hangs_up=True), *others]
    _, recorded = await _run(subject, 3 * LIMIT, children)
    if recorded.held:
        raise Violation(f"{recorded.held:,} tokens are still held after the run")


CASES: Mapping[str, Case] = {
    **{f"fan_out[{n}]": Case(partial(fan_out, children=n), ("limit",)) for n in (1, 2, 8, 32, 128)},
    "one_by_one": Case(one_by_one, ("limit",)),
    "no_room": Case(no_room, ("limit",)),
    "nested_limits": Case(nested_limits, ("limit", "nested_limits")),
    **{f"books_at_the_limit[{n}]": Case(partial(books_at_the_limit, children=n), ("limit",)) for n in (8, 32)},
    "books_after_hanging_up": Case(books_after_hanging_up),
    "books_without_a_record": Case(books_without_a_record),
    "books_after_a_retry": Case(books_after_a_retry, ("retries",)),
    "nothing_held": Case(nothing_held, ("limit", "retries", "holds")),
}
"""Every case by name, in the order in which they are run."""


# ---------------------------------------------------------------- running and judging
def _children(count: int, first: int = 0) -> list[Child]:
    return [Child(number) for number in range(first, first + count)]


async def _run(
    subject: Subject, limit: int | None, children: Sequence[Child], *, at_once: bool = True
) -> tuple[Provider, Recorded]:
    provider = Provider()
    work = partial(_work, provider=provider, children=children, at_once=at_once)
    return provider, await _within_patience(subject, provider, limit, work)


async def _within_patience(
    subject: Subject, provider: Provider, limit: int | None, work: Callable[[Account], Awaitable[None]]
) -> Recorded:
    with anyio.move_on_after(PATIENCE):
        return await subject.run(provider, limit, work)
    raise Violation(f"the run did not end within {PATIENCE:g} seconds")


async def _work(account: Account, provider: Provider, children: Sequence[Child], at_once: bool = True) -> None:
    """Run the children in a limit; one that is cancelled or refused does not disturb the others."""

    async def run(child: Child) -> None:
        with anyio.CancelScope() as scope:
            provider.callers[child.number] = scope
            await account.call(child)

    async with anyio.create_task_group() as group:
        for child in children:
            if at_once:
                group.start_soon(run, child)
            else:
                await run(child)


def _check_limit(provider: Provider, limit: int, children: Sequence[Child] | None = None) -> None:
    billed, calls = provider.billed(children)
    if billed > limit:
        raise Violation(f"{_bill(billed, calls)} under a limit of {limit:,}: {billed - limit:,} tokens too many")


def _check_served(provider: Provider, replies: int) -> None:
    """To refuse everything is no way to stay within a limit."""
    if provider.whole < replies:
        raise Violation(f"{provider.whole} replies came through whole where there was room for {replies}")


def _check_equal(provider: Provider, recorded: Recorded) -> None:
    billed, calls = provider.billed()
    if recorded.tokens != billed:
        raise Violation(f"{_bill(billed, calls)}, the books say {recorded.tokens:,}")
    if recorded.requests not in (None, calls):
        raise Violation(f"the provider got {calls} calls, the books say {recorded.requests}")


def _bill(tokens: int, calls: int) -> str:
    return f"the bill is {tokens:,} tokens for {calls} {'call' if calls == 1 else 'calls'}"
