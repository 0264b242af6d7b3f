"""The agent that works an order desk, and how its answers are scored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentkit import Agent, Answer, Budget, Scope, Tool
from agentkit.backends import Backend
from agentkit.errors import ToolFailed
from agentkit.evals.suites.order_desk.conversations import INSTRUCTIONS
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.distractors import distractors
from agentkit.evals.suites.order_desk.names import Split
from agentkit.evals.suites.order_desk.questions import ONE_STEP, TWO_STEP, Question, draw_question, is_correct
from agentkit.evals.suites.order_desk.tools import desk_tools
from agentkit.routers import Router
from agentkit.tools.index import ToolSearch


@dataclass(frozen=True, slots=True)
class Score:
    """One question's outcome; `cost` in dollars."""

    question: Question
    correct: bool
    cost: Decimal
    answer: Answer[str]


def desk_agent(
    desk: Desk,
    models: Sequence[str | Backend],
    *,
    crowd: int = 0,
    seed: int = 0,
    tool_search: ToolSearch | None = None,
    router: Router | None = None,
) -> Agent[str]:
    """Return an agent over `desk`; `crowd` tools that have nothing to do with it stand beside the desk's own."""
    rng = random.Random(seed)
    tools = [*desk_tools(desk), *(Tool(spec, _unavailable) for spec in distractors(rng, "test", crowd))]
    rng.shuffle(tools)
    return Agent(
        models,
        name="order-desk",
        instructions=INSTRUCTIONS,
        tools=tools,
        max_output_tokens=160,
        tool_search=tool_search,
        router=router,
    )


def draw_questions(desk: Desk, split: Split, count: int, seed: int) -> list[Question]:
    """Draw `count` questions, half of one look-up and half of two, every kind in turn."""
    rng = random.Random(seed)
    kinds = [
        kind for pair in zip(_cycled(ONE_STEP, count), _cycled(TWO_STEP, count), strict=True) for kind in pair
    ]
    return [draw_question(rng, desk, split, kind) for kind in kinds[:count]]


async def score(
    agent: Agent[str], question: Question, budget: Budget | None = None, scope: Scope | None = None
) -> Score:
    """Ask `question` and compare the value that the answer states; with `scope` it draws from that budget too."""
    answer = await agent.run(question.text, budget=budget, scope=scope)
    return Score(question, is_correct(question, answer.text), answer.spent.usd, answer)


def _cycled(kinds: Sequence[str], count: int) -> list[str]:
    return [kinds[place % len(kinds)] for place in range(count)]


async def _unavailable(arguments: object, context: object) -> object:
    raise ToolFailed("tool", "it is not available at the order desk")
