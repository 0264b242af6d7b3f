"""The questions of the anytime bench: who works on each, between which budgets, and how a text is graded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from agentkit import Agent, Budget, Price
from agentkit.catalog import Catalog, Selection
from agentkit.composer import Composer, KnapsackComposer
from agentkit.costs import NANO
from agentkit.evals.benches.anytime_gsm8k import LARGEST_CAP, Problem
from agentkit.evals.suites.order_desk.agent import desk_agent, draw_questions
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.questions import Question, is_correct
from agentkit.local_models import LocalBackend, zoo
from agentkit.types import ModelCard

QUESTION_SEED = 700_002
DESK_CAP = 160
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Grade = Callable[[str], tuple[float, float]]
"""From a text to whether it is right, and to the share of what is needed that it states; both in 0..1."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question: who works on it, what is limited, from which budget to which, and how a text is graded."""

    agent: Agent[str]
    task: str
    resource: str
    cap: int
    least: int
    most: int
    grade: Grade

    def budget(self, amount: int) -> Budget:
        """Return a budget of `amount` of the limited resource."""
        return Budget(usd=f"{amount / NANO:.9f}") if self.resource == "usd" else Budget(tokens=amount)


class _EveryTool:
    """Equips a run with everything, whatever the budget: the finish line without the knapsack's part in it."""

    def compose(self, catalog: Catalog, available: Mapping[str, int]) -> Selection:
        """Choose as if nothing were limited."""
        return KnapsackComposer().compose(catalog, {})


PARTS: Mapping[str, tuple[str, Composer]] = {
    "order_desk_pico": ("pico", KnapsackComposer()),
    "order_desk_nano": ("nano", KnapsackComposer()),
    "order_desk_nano_every_tool": ("nano", _EveryTool()),
}
"""The model and the composer of each part of the order desk."""


async def desk_cases(desk: Desk, part: str, count: int) -> list[Case]:
    """Draw questions; budgets are dollars from the minimum to twice the need, or the minimum if that is more."""
    model, composer = PARTS[part]
    agent = desk_agent(desk, [LocalBackend(_without_cache_price(zoo.CARDS[model]), zoo.folder(model))])
    agent.composer = composer
    cases: list[Case] = []
    for question in draw_questions(desk, "test", count, QUESTION_SEED):
        least = agent.minimum(question.text)["usd"]
        need = (await agent.run(question.text, budget=Budget.unlimited())).spent["usd"]
        grade = _desk_grade(question)
        cases.append(Case(agent, question.text, "usd", DESK_CAP, least, max(least, 2 * need), grade))
    return cases


def recorded_cases(found: Iterable[Problem]) -> list[Case]:
    """Tokens from the minimum to where the largest recorded cap can be sent with the minimum kept back."""
    cases: list[Case] = []
    for problem in found:
        agent = Agent(problem.model(), max_output_tokens=LARGEST_CAP)
        least = agent.minimum(problem.text)["tokens"]
        most = least + len(problem.text.split()) + LARGEST_CAP
        cases.append(Case(agent, problem.text, "tokens", LARGEST_CAP, least, most, _recorded_grade(problem)))
    return cases


def needed_facts(question: Question) -> tuple[str, ...]:
    """Return what the look-ups must bring: names that lead on, then the operands or else the value itself.

    To state the answer as the answer counts as one more.
    """
    facts: list[str] = []
    for name, arguments in question.steps:
        (argument,) = map(str, arguments.values())
        if name == "calculate":
            return (*facts, *_NUMBER.findall(argument)[:2])  # a third number is the digits to round to
        if argument not in question.text:
            facts.append(argument)
    return (*facts, question.answer)


def _without_cache_price(card: ModelCard) -> ModelCard:
    """No run may be cheaper for what another one left in the cache."""
    assert card.price is not None
    return replace(card, price=Price(card.price.input, card.price.output))


def _desk_grade(question: Question) -> Grade:
    needed = needed_facts(question)

    def grade(text: str) -> tuple[float, float]:
        right = is_correct(question, text)
        return float(right), 1.0 if right else sum(_states(text, fact) for fact in needed) / (len(needed) + 1)

    return grade


def _recorded_grade(problem: Problem) -> Grade:
    def grade(text: str) -> tuple[float, float]:
        right = float(problem.is_correct(text))
        return right, right

    return grade


def _states(text: str, fact: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(fact)}(?!\w|\.\d)", text) is not None
