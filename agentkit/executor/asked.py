"""A call with a prompt of the router's own: bounded, held and settled like any other, within its share."""

from __future__ import annotations

from dataclasses import replace

from agentkit.backends.base import Backend
from agentkit.errors import AgentkitError, BackendError, BudgetError, BudgetExceeded
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.messages import Message
from agentkit.routers.base import Ask
from agentkit.types import Completion, Request


def asked_offer(
    job: Job, backend: Backend, ask: Ask, messages: tuple[Message, ...], again: int
) -> tuple[Offer | None, AgentkitError | None]:
    """Return the offer of the call under the output cap that its share pays for, or why there is none.

    `again` is how often the model was asked in this turn, so that no two questions share a seed.
    """
    available = job.view().available
    share = {name: int(room * ask.share) for name, room in available.items()}
    request = Request(
        messages=(*messages, *ask.messages) if ask.in_conversation else ask.messages,
        max_output_tokens=min(ask.max_output_tokens, backend.card.max_output_tokens),
        temperature=job.sampling.temperature if ask.temperature is None else ask.temperature,
        seed=None if job.sampling.seed is None else job.sampling.seed + again,
        reasoning_effort=job.sampling.reasoning_effort,
        stop=ask.stop,
    )
    try:
        offer = Offer.make(backend, request, available)
    except (BudgetError, BackendError) as error:
        return None, error
    cap = offer.cap(share)
    if cap < offer.least:
        short = next(name for name, room in share.items() if offer.bound.at(offer.least)[name] > room)
        return None, BudgetExceeded(job.scope.name, short, offer.bound.at(offer.least)[short], share[short])
    return replace(offer, request=replace(request, max_output_tokens=cap), wanted=offer.bound.at(cap)), None


def problems_of_asked(completion: Completion) -> tuple[str, ...]:
    """Return what keeps a reply from being read: it is cut, filtered, empty, or a call of tools nobody offered."""
    if completion.finish_reason == "length":
        return ("the reply was cut at the output cap",)
    if completion.finish_reason == "content_filter":
        return ("the provider's content filter stopped the reply",)
    if completion.message.tool_calls or not completion.message.text.strip():
        return ("the reply is no text",)
    return ()
