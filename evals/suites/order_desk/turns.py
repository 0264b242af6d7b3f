"""Recorded turns of the order desk: what each model says in each turn of a question that is worked on rightly."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import numpy as np

from agentkit.backends import Backend
from agentkit.costs import NANO
from agentkit.evals.suites.order_desk.conversations import INSTRUCTIONS
from agentkit.evals.suites.order_desk.database import Desk, Row
from agentkit.evals.suites.order_desk.questions import Question, Step, is_correct
from agentkit.evals.suites.order_desk.tools import desk_tools
from agentkit.messages import Message, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.routers.estimators import Item, OutcomeTable
from agentkit.tools.result import result_text
from agentkit.types import Completion, Request

_MOST_TOKENS = 160


async def record_turns(desk: Desk, models: Sequence[Backend], questions: Sequence[Question]) -> OutcomeTable:
    """Have all `models` say every turn, on the calls and results that are right so far.

    A turn is right if it makes the call that is needed next; the last one if it states the answer.
    """
    names = tuple(model.card.name for model in models)
    items, replies, scores = [], [], []
    for number, question in enumerate(questions):
        for turn, request in enumerate(turn_requests(desk, question)):
            said = {model.card.name: await model.complete(request) for model in models}
            items.append(Item(f"{number}.{turn}", "order-desk", question.kind, question.text))
            replies.append(said)
            scores.append([float(_is_right(question, turn, said[name])) for name in names])
    prices = {model.card.name: model.card.price for model in models if model.card.price is not None}

    def used(value: Callable[[str, Completion], float]) -> list[list[float]]:
        return [[value(name, row[name]) for name in names] for row in replies]

    def cost(name: str, reply: Completion) -> float:
        return reply.usage.cost(prices.get(name))["usd"] / NANO if reply.usage else np.nan

    return OutcomeTable(
        name="order-desk",
        items=tuple(items),
        models=names,
        score=np.array(scores),
        cost=np.array(used(cost)),
        input_tokens=np.array(used(lambda name, reply: float(reply.usage.total_input) if reply.usage else np.nan)),
        output_tokens=np.array(
            used(lambda name, reply: float(reply.usage.total_output) if reply.usage else np.nan)
        ),
        latency=np.full((len(items), len(names)), np.nan),
        prices=prices,
        replies=tuple(replies),
    )


def turn_requests(desk: Desk, question: Question) -> list[Request]:
    """Return what is asked in each turn, when all goes right."""
    tools = [tool.spec for tool in desk_tools(desk)]
    random.Random(0).shuffle(tools)  # as an agent of the desk offers them
    messages: list[Message] = [system(INSTRUCTIONS), user(question.text)]
    found = []
    for number, step in enumerate((*question.steps, None)):
        found.append(
            Request(messages=tuple(messages), max_output_tokens=_MOST_TOKENS, tools=tuple(tools), logprobs=True)
        )
        if step is not None:
            call = ToolCall(f"call_{number}", step[0], json.dumps(step[1], ensure_ascii=False))
            result = ToolResult(call.id, call.name, _result(desk, question, step))
            messages += [assistant("", (call,)), tool_message(result)]
    return found


def _result(desk: Desk, question: Question, step: Step) -> str:
    if step[0] == "calculate":
        return question.answer
    look_ups: dict[str, Callable[..., Row | None]] = {
        "get_order": desk.order,
        "get_shipment": desk.shipment,
        "find_customer": desk.customer,
        "find_product": desk.product,
    }
    return result_text(look_ups[step[0]](*step[1].values()))


def _is_right(question: Question, turn: int, reply: Completion) -> bool:
    if turn == len(question.steps):
        return is_correct(question, reply.message.text)
    try:
        made = [(call.name, json.loads(call.arguments)) for call in reply.message.tool_calls]
    except ValueError:
        return False
    return made == [question.steps[turn]]
