"""Training conversations: how an agent that works the order desk well would talk.

They have the shape of real runs: the agent's instructions, the tools offered (with distractors among them), one
or more questions, look-ups and their results, budget notes after results, and the wrap-up prompt that a run sends
when its budget is spent. `Lessons` orders them from drills that teach copying and look-up by key to the real
mixture.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentkit.errors import ToolFailed
from agentkit.evals.suites.order_desk.database import Desk, Row
from agentkit.evals.suites.order_desk.distractors import distractors
from agentkit.evals.suites.order_desk.names import Names
from agentkit.evals.suites.order_desk.phrasings import KINDS
from agentkit.evals.suites.order_desk.questions import (
    ONE_STEP,
    TWO_STEP,
    Question,
    Step,
    draw_missing,
    draw_question,
)
from agentkit.evals.suites.order_desk.tools import desk_tools
from agentkit.messages import Message, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.tools.result import result_text
from agentkit.types import Conversation, ToolSpec
from agentkit.wrap_up import wrap_up_prompt

INSTRUCTIONS = "You work the order desk. Look things up with the tools."
_INSTRUCTIONS = (
    INSTRUCTIONS,
    INSTRUCTIONS,
    "Answer questions about orders, customers and products with the tools.",
    "You are a helpful agent.",
    "Use the tools. Answer in one sentence.",
    "",
)
_BANDS = (("MEDIUM", 30, 69), ("LOW", 10, 29), ("CRITICAL", 0, 9))
_RESOURCES = ("usd", "tokens", "input_tokens", "output_tokens", "requests", "tool_calls", "seconds")
_PAIRS = (2, 4, 8, 16)
"""Pairs in a drill, by level; the level after the last one is the mixture."""


@dataclass(slots=True)
class Lessons:
    """Seeded source of training conversations; a new desk is generated every `desk_every` conversations."""

    seed: int
    desk_every: int = 200
    levels: int = len(_PAIRS) + 1
    _drawn: int = 0
    _rng: random.Random = field(init=False)
    _desk: Desk = field(init=False)
    _tools: dict[str, ToolSpec] = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._renew()

    def draw(self, level: int) -> Conversation:
        """Return a conversation of `level`, 0 the easiest drill, `levels` − 1 the mixture."""
        self._drawn += 1
        if self._drawn % self.desk_every == 0:
            self._renew()
        if level < len(_PAIRS):
            return self._drill(_PAIRS[level])
        return self._drill(12) if self._rng.random() < 0.05 else self._shift()

    def _renew(self) -> None:
        self._desk = Desk.create(self._rng.getrandbits(32), "train", size=30)
        self._tools = {tool.name: tool.spec for tool in desk_tools(self._desk)}

    # ------------------------------------------------------------------ drills
    def _drill(self, pairs: int) -> Conversation:
        """A JSON object, then what some of its keys map to: look-up by key, and copying."""
        rng, names = self._rng, Names(self._rng, "train")
        draws = (
            names.person,
            names.town,
            names.carrier,
            names.product,
            names.order_id,
            lambda: names.money(2, 400),
        )
        table = {
            draw(): rng.choice(draws)()
            for draw in rng.choices((names.town, names.person, names.order_id), k=pairs)
        }
        messages = [user(json.dumps(table, ensure_ascii=False))]
        for key in rng.choices(list(table), k=8):
            messages += [user(str(key)), assistant(str(table[key]))]
        return Conversation(tuple(messages))

    # ------------------------------------------------------------------ the desk at work
    def _shift(self) -> Conversation:
        rng = self._rng
        kind = rng.random()
        if kind < 0.10:
            return self._wrapped_up()
        messages: list[Message] = []
        needed: set[str] = set()
        for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
            if rng.random() < 0.04:
                needed |= self._ask_missing(messages)
            else:
                needed |= self._ask(messages, self._question())
        return self._opened(messages, needed)

    def _question(self) -> Question:
        kinds = ONE_STEP if self._rng.random() < 0.4 else TWO_STEP
        return draw_question(self._rng, self._desk, "train", self._rng.choice(kinds))

    def _ask(self, messages: list[Message], question: Question) -> set[str]:
        messages.append(user(question.text))
        for step in question.steps:
            self._call(messages, step, self._result(question, step))
        messages.append(assistant(question.sentence))
        return {name for name, _ in question.steps}

    def _ask_missing(self, messages: list[Message]) -> set[str]:
        kind = self._rng.choice(
            [kind for kind in KINDS if kind.split(".")[0] in ("order", "customer", "product", "shipment")]
        )
        text, step, answer = draw_missing(self._rng, self._desk, "train", kind)
        messages.append(user(text))
        name, arguments = step
        noun = "shipment of order" if name == "get_shipment" else answer.split()[3]
        self._call(messages, step, f"Error: {ToolFailed(name, f'no {noun} {next(iter(arguments.values()))}')}")
        messages.append(assistant(answer))
        return {name}

    def _wrapped_up(self) -> Conversation:
        """The prompt of a spent budget, with as many facts as there was money for."""
        question = self._question()
        known = self._rng.randint(0, len(question.steps))
        facts = [_fact(step, self._result(question, step)) for step in question.steps[:known]]
        look_ups = [step for step in question.steps if step[0] != "calculate"]
        arithmetic = len(look_ups) < len(question.steps)
        if known == len(question.steps):
            answer = question.sentence
        elif known == 0:
            answer = "I could not finish: nothing is known yet."
        elif arithmetic and known == len(look_ups):
            answer = f"I could not finish: it is {question.steps[-1][1]['expression']}."
        else:
            answer = f"I could not finish: {facts[-1]}"
        messages = [user(wrap_up_prompt(question.text, facts)), assistant(answer)]
        instructions = self._rng.choice(_INSTRUCTIONS)
        return Conversation((system(instructions), *messages) if instructions else tuple(messages))

    def _call(self, messages: list[Message], step: Step, result: str) -> None:
        call = ToolCall(f"call_{len(messages)}", step[0], json.dumps(step[1], ensure_ascii=False))
        if self._rng.random() < 0.12:
            band, low, high = self._rng.choice(_BANDS)
            result += f"\nBudget {band}: {self._rng.randint(low, high)}% of {self._rng.choice(_RESOURCES)} left."
        messages += [assistant("", (call,)), tool_message(ToolResult(call.id, call.name, result))]

    def _result(self, question: Question, step: Step) -> str:
        name, arguments = step
        desk = self._desk
        if name == "calculate":
            return question.answer
        look_ups: dict[str, Callable[[Any], Row | None]] = {
            "get_order": desk.order,
            "get_shipment": desk.shipment,
            "find_customer": desk.customer,
            "find_product": desk.product,
        }
        return result_text(look_ups[name](next(iter(arguments.values()))))

    def _opened(self, messages: list[Message], needed: set[str]) -> Conversation:
        """Put the instructions and the offered tools in front."""
        rng = self._rng
        crowd = rng.choice((0, 0, 0, 0, 0, 0, 0, 4, 8, 8, 16, 32))
        own = [spec for name, spec in self._tools.items() if name in needed or rng.random() < 0.85]
        offered = [*own, *distractors(rng, "train", crowd)]
        rng.shuffle(offered)
        instructions = rng.choice(_INSTRUCTIONS)
        opening = (system(instructions),) if instructions else ()
        return Conversation((*opening, *messages), tuple(offered))


def _fact(step: Step, result: str) -> str:
    name, arguments = step
    return f"{name}({json.dumps(arguments, ensure_ascii=False)}): {result}"
