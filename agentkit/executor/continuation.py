"""Goes on with a reply that a smaller cap than the wanted one has cut: piece by piece, each under its own hold.

A further piece has the conversation, the text so far as an assistant turn, and a request to go on; a model that
takes the beginning of its own turn (`Capabilities.prefill`) goes on from the last token and needs no request. The
texts are joined as they come. Where likely caps are sent (`admission.py`), a reply that was cut in a tool call or
before any text cannot be gone on with: it is asked for once more, under the wanted cap.
"""

from __future__ import annotations

from dataclasses import replace

from agentkit.costs import Cost
from agentkit.errors import BackendError, BudgetError
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.executor.persist import persist
from agentkit.messages import assistant, user
from agentkit.trace import Failed, Retried
from agentkit.types import Completion, Request
from agentkit.wrap_up import CONTINUE

MOST_PIECES = 8
"""Pieces of one reply; each sends the conversation again."""
LEAST_PIECE = 64
"""Tokens; a further piece under a smaller cap is not worth sending the conversation again."""


async def whole_reply(job: Job, offer: Offer, step: str) -> tuple[Completion, Cost]:
    """Make the call, and go on with its reply while it is cut and the budget affords a further piece.

    Returns the reply, still cut if need be, and what all pieces cost. `usage` and `native` of a joined reply are
    None: they are those of single calls. Raises what `attempt` raises for the first piece.
    """
    wanted = offer.request.max_output_tokens
    may_ask_again = offer.likely(job.lengths) < wanted
    reply, cost = await persist(job, offer, step)
    made = _made(reply, cost)
    for _ in range(MOST_PIECES - 1):
        further = _further(job, offer, reply, made, may_ask_again)
        if further is None:
            break
        job.emit(Retried(step, f"the reply was cut after {made} tokens"))
        try:
            piece, piece_cost = await persist(job, further, step)
        except (BackendError, BudgetError) as error:  # what there is stays
            cost += error.charged if isinstance(error, BackendError) else Cost()
            job.emit(Failed(offer.what, str(error)))
            break
        cost += piece_cost
        if further.request is offer.request:
            reply, made, may_ask_again = piece, _made(piece, piece_cost), False
        else:
            reply, made = _joined(reply, piece), made + _made(piece, piece_cost)
    job.lengths.observe(offer.kind, made, cut=reply.finish_reason == "length")
    return reply, cost


def _further(job: Job, offer: Offer, reply: Completion, made: int, may_ask_again: bool) -> Offer | None:
    """Return the offer of the next piece; None when there is none or the budget does not afford it."""
    wanted = offer.request.max_output_tokens
    if reply.finish_reason != "length" or made >= wanted:
        return None
    available = job.scope.view().available
    try:
        if _said(reply) and not reply.message.tool_calls:
            request = _request(offer, _said(reply), wanted - made)
            further = Offer.make(offer.backend, request, available, least=LEAST_PIECE, further=True)
        elif may_ask_again:
            further = replace(offer, least=wanted, further=True)
        else:
            return None
    except (BackendError, BudgetError):  # with what was said it is too long for the model
        return None
    return further if job.under_way or further.cap(available) >= further.least else None


def _request(offer: Offer, said: str, left: int) -> Request:
    prefill = offer.backend.card.capabilities.prefill
    messages = (*offer.request.messages, assistant(said), *(() if prefill else (user(CONTINUE),)))
    # a schema that the provider enforces would make it begin again
    return replace(offer.request, messages=messages, max_output_tokens=left, output_schema=None)


def _joined(reply: Completion, piece: Completion) -> Completion:
    text = _said(reply) + piece.message.text
    return replace(
        piece,
        message=assistant(text, piece.message.tool_calls),
        usage=None,
        logprobs=(*reply.logprobs, *piece.logprobs),
    )


def _said(reply: Completion) -> str:
    """Return the text without the half of a character that a cut may leave."""
    return reply.message.text.rstrip("\ufffd")


def _made(piece: Completion, cost: Cost) -> int:
    """Return the output tokens of a piece; without a usage record all that it was charged for."""
    return cost["output_tokens"] if piece.usage is None else piece.usage.total_output
