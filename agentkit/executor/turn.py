"""One model turn: the router's loop of calls until it stops with an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio

from agentkit.backends.base import Backend
from agentkit.costs import Cost
from agentkit.errors import (
    AgentkitError,
    BackendError,
    BudgetError,
    BudgetExceeded,
    FailureKind,
    NoEligibleModel,
    RoutingError,
    Saturated,
)
from agentkit.executor.asked import asked_offer, problems_of_asked
from agentkit.executor.continuation import whole_reply
from agentkit.executor.job import Job
from agentkit.executor.offer import Offer
from agentkit.executor.room import reserve
from agentkit.executor.tool_use import problems_of
from agentkit.messages import Message, assistant
from agentkit.routers import Call, Outcome, Query, Stop
from agentkit.routers.base import Ask
from agentkit.trace import Failed, Retried, Routed, Verified
from agentkit.types import Completion, Request, ScopeView, ToolSpec

DEFAULT_OUTPUT = 1_024
"""Tokens a turn may produce when the agent does not say."""


async def take_turn(
    job: Job, step: str, task: str, messages: tuple[Message, ...], turn: int, weak: set[str]
) -> Outcome:
    """Ask the router for calls until it stops; models whose reply was not valid are added to `weak`.

    Raises the budget's refusal when no call fits, the last BackendError when every call failed, and
    NoEligibleModel when there was nothing to call.
    """
    seen: list[Outcome] = []
    failure: BackendError | None = None
    view = job.view()
    offers, refusals = _offers(job, messages, view)
    while True:
        bounds = {name: offer.cost(view.available) for name, offer in offers.items()}
        query = Query(task, bounds, bool(job.tools), turn, frozenset(weak))
        decision = job.router.next(query, job.cards, seen, view)
        if isinstance(decision, Call):
            about = _judged(decision, seen)
            job.emit(Routed(step, decision.model, decision.reason, about=about))
            asks = decision.ask is not None
            again = sum(outcome.model == decision.model and outcome.asked is asks for outcome in seen)
            if asks:
                outcome, failed = await _asked(job, step, decision, messages, again, about)
            else:
                if seen:
                    job.emit(Retried(step, decision.reason))
                outcome, failed = await _outcome(job, step, _offer(offers, decision.model, again))
                if not outcome.valid:
                    weak.add(decision.model)
            failure = failed or failure
            seen.append(outcome)
            view = job.view()
            continue
        answer = "" if decision.answer is None else seen[decision.answer].model
        job.emit(Routed(step, "", decision.reason, answer))
        if decision.answer is not None:
            return _answer(job, seen[decision.answer], decision)
        if failure is not None:
            raise failure
        _check_callable(job, offers, refusals, view.available)
        await _room(job, bounds)
        view = job.view()


async def _asked(
    job: Job, step: str, decision: Call, messages: tuple[Message, ...], again: int, about: str
) -> tuple[Outcome, BackendError | None]:
    """Make a call with a prompt of the router's own; one that is not paid for is an outcome too.

    Others may take the room between the offer and the hold: what the router has by then is not lost for that.
    What a model says to a prompt that stands alone is a fact for the wrap-up. `about` is whose reply it judges.
    """
    model, ask = decision.model, decision.ask
    assert ask is not None
    if model not in job.backends:
        raise RoutingError(f"the router chose {model!r}; it must be one of {sorted(job.backends)}")
    offer, refusal = asked_offer(job, job.backends[model], ask, messages, again)
    if offer is None:
        return _unpaid(model, ask, refusal), None
    try:
        outcome, failure = await _outcome(job, step, offer, ask, about)
    except (BudgetExceeded, Saturated) as error:  # a frozen scope ends the run
        return _unpaid(model, ask, error), None
    if outcome.completion is not None and outcome.valid and not ask.in_conversation:
        job.progress.facts.append(f"{model}: {outcome.completion.message.text}")
    return outcome, failure


def _unpaid(model: str, ask: Ask, refusal: AgentkitError | None) -> Outcome:
    return Outcome(model, None, Cost(), (str(refusal),), asked=True, about=ask.about)


async def _outcome(
    job: Job, step: str, offer: Offer, ask: Ask | None = None, about: str = ""
) -> tuple[Outcome, BackendError | None]:
    """Make the call; returns what came of it, and the error when nothing came."""
    model, began, asked = offer.backend.card.name, anyio.current_time(), ask is not None
    try:
        completion, cost = await whole_reply(job, offer, step)
        kind: FailureKind | None = "refused" if completion.finish_reason == "content_filter" else None
        problems = problems_of_asked(completion) if asked else _problems(job, completion)
        outcome, failure = Outcome(model, completion, cost, problems, kind, asked=asked), None
    except BackendError as error:
        outcome, failure = Outcome(model, None, error.charged, (str(error),), error.kind, asked=asked), error
        job.emit(Failed(f"model:{model}", str(error)))
    outcome = replace(outcome, seconds=anyio.current_time() - began)
    if ask is not None:
        outcome = replace(outcome, about=ask.about, right=_read(ask, outcome))
    job.emit(Verified(step, model, outcome.problems, about, outcome.right))
    return outcome, failure


def _read(ask: Ask, outcome: Outcome) -> bool | None:
    """Return what a whole judgement says; one that was cut or filtered may have been about to say otherwise."""
    if ask.about is None or ask.read is None or outcome.completion is None or not outcome.valid:
        return None
    return ask.read(outcome.completion.message.text)


def _judged(decision: Call, seen: Sequence[Outcome]) -> str:
    """Return the model whose reply the call is to judge, empty where it is for something else."""
    if decision.ask is None or decision.ask.about is None:
        return ""
    if not 0 <= decision.ask.about < len(seen):
        raise RoutingError(f"the router asks about outcome {decision.ask.about} of {len(seen)}; count from 0")
    return seen[decision.ask.about].model


def _offer(offers: Mapping[str, Offer], model: str, again: int) -> Offer:
    """Return the offer of `model`, which is asked for the (`again` + 1)-th time: with a seed of its own each."""
    if model not in offers:
        raise RoutingError(f"the router chose {model!r}; it must be one of {sorted(offers)}")
    offer = offers[model]
    if not again or offer.request.seed is None:
        return offer
    return replace(offer, request=replace(offer.request, seed=offer.request.seed + again))


def _answer(job: Job, outcome: Outcome, decision: Stop) -> Outcome:
    """Return the outcome that the router stops with, checked as an answer where it was not asked for as one."""
    if not outcome.asked or outcome.completion is None:
        return outcome
    said = outcome.completion.message.text if decision.text is None else decision.text
    completion = replace(outcome.completion, message=assistant(said))
    return replace(outcome, completion=completion, problems=_problems(job, completion))


def _offers(
    job: Job, messages: tuple[Message, ...], view: ScopeView
) -> tuple[dict[str, Offer], dict[str, AgentkitError]]:
    """Bound the call for every model; a model whose call cannot be bounded is left out, and why is kept."""
    tools = tuple(tool.spec for tool in job.tools)
    offers: dict[str, Offer] = {}
    refusals: dict[str, AgentkitError] = {}
    for name, backend in job.backends.items():
        try:
            offers[name] = Offer.make(backend, _request(job, backend, messages, tools), view.available)
        except (BudgetError, BackendError) as error:
            refusals[name] = error
    return offers, refusals


def _request(job: Job, backend: Backend, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...]) -> Request:
    wanted = job.sampling.max_output_tokens or DEFAULT_OUTPUT
    return Request(
        messages=messages,
        max_output_tokens=min(wanted, backend.card.max_output_tokens),
        tools=tools,
        temperature=job.sampling.temperature,
        seed=job.sampling.seed,
        reasoning_effort=job.sampling.reasoning_effort,
        output_schema=job.output_schema,
        logprobs=len(job.backends) > 1 and backend.card.capabilities.logprobs,  # routers judge replies by them
    )


def _problems(job: Job, completion: Completion) -> tuple[str, ...]:
    message = completion.message
    if completion.finish_reason == "length":
        return ("the reply was cut at the output cap",)
    if completion.finish_reason == "content_filter":
        return ("the provider's content filter stopped the reply",)
    if message.tool_calls:
        return problems_of(job, message.tool_calls)
    if not message.text.strip():
        return ("the reply is empty",)
    return tuple(job.check(message.text))


def _check_callable(
    job: Job, offers: Mapping[str, Offer], refusals: Mapping[str, AgentkitError], available: Mapping[str, int]
) -> None:
    """Raise unless room is all that is missing."""
    if not offers and refusals:
        raise next(iter(refusals.values()))
    if not offers or any(offer.cap(available) >= offer.least for offer in offers.values()):
        raise NoEligibleModel({name: str(refusals.get(name) or _why_not(job, name)) for name in job.backends})


def _why_not(job: Job, model: str) -> str:
    """Say why a model that could be paid for is not called."""
    if len(job.tools) and not job.backends[model].card.capabilities.tools:
        return "it cannot call tools and the agent has some; take another model, or leave the tools out"
    return "the router ruled it out: it does not name the model, or a limit of its preferences forbids it"


async def _room(job: Job, bounds: Mapping[str, Cost]) -> None:
    """Return once the least call fits; raises what the ledger says when it never will."""
    least = min(bounds.values(), key=lambda cost: (cost["usd"], cost["tokens"]))
    ticket = object()
    try:
        hold = await reserve(job, ticket, least, "room", dispatch=False)
        await hold.void()
    finally:
        job.under_way.discard(ticket)
