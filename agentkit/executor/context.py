"""A conversation that is too long for every model: refused, trimmed or summarised, as the agent declares.

    refuse      the step ends with ContextOverflow, and the run with a wrap-up of what it knows
    trim        the oldest turns are left out; a tool result that makes up most of it is cut instead
    summarise   what is left out is first summarised by the cheapest model, a paid call like any other

Instructions, the task and the newest turn stay. Tool calls and their results go together, so that what is left is
a conversation that every provider takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agentkit.errors import BackendError, BudgetError, ContextOverflow
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.executor.persist import persist
from agentkit.executor.turn import take_turn
from agentkit.messages import SUMMARY, Message, user
from agentkit.routers import Outcome
from agentkit.trace import Retried
from agentkit.types import Request

ROOM = 0.9
"""Part of the context window that a shortened prompt may take: the answer needs some too."""
LARGEST_STEP = 0.75
"""Part of the conversation that is kept at most, where the provider does not say how much too long it is."""
LEAST_TEXT = 400
"""Characters; a tool result is not cut shorter."""
SUMMARY_TOKENS = 256
WORTH_A_SUMMARY = 4 * SUMMARY_TOKENS
"""Characters; what is shorter is simply left out."""

_PROMPT = (
    "Summarise this conversation in at most 150 words for whoever carries on with it. Keep names, numbers, ids, "
    "results and decisions exactly.\n\n"
)


@dataclass(frozen=True, slots=True)
class Shortened:
    """A conversation made shorter: what is kept, what was left out of it, and that in words."""

    kept: tuple[Message, ...]
    left_out: tuple[Message, ...]
    note: str


async def fitted_turn(
    job: Job, step: str, task: str, messages: tuple[Message, ...], turn: int, weak: set[str]
) -> tuple[Outcome, tuple[Message, ...]]:
    """Take the turn, shortening the conversation as the agent declares until it fits; returns what it was then.

    Raises ContextOverflow when the policy is to refuse or nothing more can be left out, else as `take_turn`.
    """
    while True:
        try:
            return await take_turn(job, step, task, messages, turn, weak), messages
        except ContextOverflow as error:
            shortened = None if job.resilience.on_overflow == "refuse" else shorten(messages, _share(error))
            if shortened is None:
                raise
            if job.resilience.on_overflow == "summarise" and _size(shortened.left_out) >= WORTH_A_SUMMARY:
                shortened = await _with_summary(job, step, shortened)
            messages = shortened.kept
            why = f"{error.model}: {error.tokens} tokens do not fit its window of {error.window}"
            job.emit(Retried(step, f"{why}; {shortened.note}"))


def shorten(messages: Sequence[Message], share: float) -> Shortened | None:
    """Make `messages` take at most `share` of their length, or as little as they can; None when nothing can go."""
    most = share * _size(messages)
    results = [place for place, message in enumerate(messages) if message.role == "tool"]
    longest = max(results, key=lambda place: len(messages[place].text), default=None)
    if longest is not None and len(messages[longest].text) > max(most / 2, LEAST_TEXT):
        return _cut(messages, longest, most)
    return _leave_out(messages, most)


def _cut(messages: Sequence[Message], place: int, most: float) -> Shortened:
    message, others = messages[place], _size(messages) - len(messages[place].text)
    length = max(LEAST_TEXT // 2, int(most - others), len(message.text) // 4)
    cut = len(message.text) - length
    note = f"{cut} characters of what {message.name or 'a tool'} gave were left out"
    shorter = replace(message, text=f"{message.text[:length]}\n[{cut} more characters do not fit]")
    return Shortened((*messages[:place], shorter, *messages[place + 1 :]), (), note)


def _leave_out(messages: Sequence[Message], most: float) -> Shortened | None:
    blocks = _blocks(messages)
    asked = max((i for i, block in enumerate(blocks) if block[0].role == "user"), default=-1)
    size, gone = _size(messages), set[int]()
    for i, block in enumerate(blocks[:-1]):  # the newest turn stays, the instructions and the task too
        if size > most and i != asked and block[0].role != "system":
            gone.add(i)
            size -= _size(block)
    if not gone:
        return None
    kept = tuple(message for i, block in enumerate(blocks) if i not in gone for message in block)
    left_out = tuple(message for i in sorted(gone) for message in blocks[i])
    return Shortened(kept, left_out, f"the {len(left_out)} oldest messages were left out")


def _blocks(messages: Sequence[Message]) -> list[list[Message]]:
    """Divide a conversation where it can be cut: before what a user says, and after it before each reply."""
    last_asked = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    blocks: list[list[Message]] = []
    for i, message in enumerate(messages):
        begins = message.role in ("system", "user") or (message.role == "assistant" and i > last_asked)
        if begins or not blocks or blocks[-1][0].role == "system":
            blocks.append([message])
        else:
            blocks[-1].append(message)
    return blocks


async def _with_summary(job: Job, step: str, shortened: Shortened) -> Shortened:
    """Put a summary of what was left out before the rest; without one if no model can be paid for it."""
    transcript = "\n".join(_line(message) for message in shortened.left_out)
    try:
        completion, _ = await persist(job, _summary_offer(job, transcript), step)
    except (BackendError, BudgetError) as error:
        return replace(shortened, note=f"{shortened.note}, and not summarised: {error}")
    text = completion.message.text.strip()[: _size(shortened.left_out) // 2]
    opening = sum(message.role == "system" for message in shortened.kept)
    summary = replace(user(f"Summary of our conversation so far:\n{text}"), name=SUMMARY)
    kept = (*shortened.kept[:opening], summary, *shortened.kept[opening:])
    return replace(shortened, kept=kept, note=f"{shortened.note} and summarised")


def _summary_offer(job: Job, transcript: str) -> Offer:
    """Return the cheapest offer to summarise as much of the end of `transcript` as the model can read."""
    offers, failures, available = [], [], job.view().available
    for backend in job.backends.values():
        readable = transcript[-backend.card.context_window :]  # a token is rarely less than a character
        cap = min(SUMMARY_TOKENS, backend.card.max_output_tokens)
        request = Request(messages=(user(_PROMPT + readable),), max_output_tokens=cap)
        try:
            offers.append(Offer.make(backend, request, available))
        except (BackendError, BudgetError) as error:
            failures.append(error)
    if not offers:
        raise failures[0]
    return min(offers, key=lambda offer: (not offer.bound.priced, offer.wanted["usd"], offer.wanted["tokens"]))


def _line(message: Message) -> str:
    calls = "".join(f" [calls {call.name}({call.arguments})]" for call in message.tool_calls)
    return f"{message.name or message.role}: {message.text}{calls}"


def _share(error: ContextOverflow) -> float:
    """Return the part of the conversation to keep; providers that tell no size say one token too many."""
    return min(LARGEST_STEP, ROOM * error.window / max(1, error.tokens))


def _size(messages: Iterable[Message]) -> int:
    """Return the length in characters, with something for each message itself."""
    return sum(
        8 + len(message.text) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        for message in messages
    )
