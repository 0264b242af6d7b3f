"""The catalog: every agent, tool and model a run could use, what it would cost and what it is expected to add.

Value and cost are predictions for one task. A tool's value is the share of its rare words that the task mentions
(its prior relevance); its cost is its schema and the price of one call. A model's value is its quality prior; its
cost is the prompt and a short reply. Both are of one turn: the composer then rules out what not even one turn can
afford, and leaves the rest to the ledger. Priced for more turns, tools were dropped that the work could have paid
for, and a model without its tools answers all the same (`agentkit bench anytime`).

A catalog may also know the skills that the task asks for and how likely each component covers each of them; then
two components for one skill are worth less than their sum.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from agentkit.costs import Cost
from agentkit.tools import Tool
from agentkit.tools.index.needs import parts
from agentkit.types import ModelCard
from agentkit.usage import Price, Usage

EXPECTED_REPLY_TOKENS = 16
CHARACTERS_PER_TOKEN = 4
UNKNOWN_QUALITY = 0.5
LEAST_RELEVANCE = 0.05
"""Value of a tool whose words the task never mentions: it may still be needed."""

MOST_SKILLS = 6

_NO_FEE = Cost()
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Skill:
    """Something the task asks for, how much it matters, and questions by which a component is tried for it."""

    name: str
    weight: float = 1.0
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """Something a run can be equipped with: its expected cost over a run and its expected value, 0 to 1.

    Without a known price (`priced`) the dollars of `cost` say nothing. `covers` is the probability, by skill of
    the catalog, that it does what the skill asks for; `works_with` names the models it can be used by, None for
    all. `about` is what it says of itself.
    """

    name: str
    kind: Literal["agent", "tool", "model"]
    cost: Cost
    value: float
    priced: bool = True
    covers: tuple[float, ...] = ()
    works_with: frozenset[str] | None = None
    about: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Its name in the catalog, such as `tool:search`; a tool and a model may share a name."""
        return f"{self.kind}:{self.name}"


def key_of(tool: Tool) -> str:
    """Return the key of `tool` in a catalog; one that an agent stands behind is an agent there."""
    return f"{_kind(tool)}:{tool.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The components that compete for the budget of a task, and the skills it asks for where they are known."""

    components: tuple[Component, ...]
    skills: tuple[Skill, ...] = ()
    task: str = ""

    @classmethod
    def of(cls, task: str, prompt: str, tools: Sequence[Tool], cards: Sequence[ModelCard]) -> Catalog:
        """Price and value `tools` and `cards` for `task`; `prompt` is what every turn repeats besides tools."""
        reader = min(cards, key=_input_price, default=None)
        relevance = _relevance(task, [_about(tool) for tool in tools])
        able = frozenset(card.name for card in cards if card.capabilities.tools)
        usable = None if len(able) == len(cards) else able
        return cls(
            (
                *(_model_component(card, task, prompt) for card in cards),
                *(
                    _tool_component(tool, value, reader, usable)
                    for tool, value in zip(tools, relevance, strict=True)
                ),
            ),
            task=task,
        )

    def by_skill(self) -> Catalog:
        """Return the catalog with the skills of its task: its parts, at most `MOST_SKILLS`, all of one weight.

        A tool or agent covers a skill as likely as its words are relevant to that part, a model none. A catalog
        that has skills is returned as it is.
        """
        if self.skills or not self.task:
            return self
        pieces = parts(self.task)[:MOST_SKILLS] or (self.task,)
        others = [component for component in self.components if component.kind != "model"]
        columns = [_relevance(piece, [component.about for component in others]) for piece in pieces]
        covers = dict(zip((component.key for component in others), zip(*columns, strict=True), strict=True))
        return replace(
            self,
            components=tuple(replace(c, covers=covers.get(c.key, ())) for c in self.components),
            skills=tuple(Skill(piece, 1 / len(pieces), (piece,)) for piece in pieces),
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The keys of the components chosen, why each was or was not, their value and cost, and what more would buy.

    `more` is a sentence such as "$0.000012 more would add find_customer", empty when nothing is left out. No
    choice can be worth more than `bound`; None where that is not known.
    """

    chosen: frozenset[str]
    reasons: Mapping[str, str]
    value: float
    cost: Cost
    more: str = ""
    bound: float | None = None


def _model_component(card: ModelCard, task: str, prompt: str) -> Component:
    read = (len(task) + len(prompt)) // CHARACTERS_PER_TOKEN
    usage = Usage(input_tokens=read, output_tokens=EXPECTED_REPLY_TOKENS)
    value = UNKNOWN_QUALITY if card.quality is None else card.quality
    return Component(card.name, "model", _cost(usage, card.price), value, card.price is not None)


def _tool_component(
    tool: Tool, relevance: float, reader: ModelCard | None, works_with: frozenset[str] | None
) -> Component:
    """Price the schema that every turn reads, one call, and the least that an agent behind it takes."""
    usage, least = Usage(input_tokens=_schema_characters(tool) // CHARACTERS_PER_TOKEN), tool.expects()
    cost = _cost(usage, reader.price if reader else None, tool.cost + (least or _NO_FEE))
    return Component(
        tool.name, _kind(tool), cost, relevance, least is not None, works_with=works_with, about=_about(tool)
    )


def _kind(tool: Tool) -> Literal["agent", "tool"]:
    return "agent" if tool.spends or tool.hands_over else "tool"


def _about(tool: Tool) -> str:
    return f"{tool.name} {tool.spec.description}"


@lru_cache(maxsize=1024)
def _schema_characters(tool: Tool) -> int:
    return len(tool.name) + len(tool.spec.description) + len(str(tool.spec.parameters.get("properties", "")))


def _cost(usage: Usage, price: Price | None, fee: Cost = _NO_FEE) -> Cost:
    """Return the dollars and tokens of `usage` and of a tool's own `fee`."""
    usd = price.nano_usd(usage) if price else 0
    tokens = usage.total_input + usage.total_output
    return Cost(usd=usd + fee["usd"], tokens=tokens + fee["tokens"])


def _input_price(card: ModelCard) -> float:
    return float(card.price.input) if card.price else math.inf


def _relevance(task: str, documents: Sequence[str]) -> list[float]:
    """Return by document the share of its word weight (inverse document frequency) that the task mentions."""
    asked = _words(task)
    bags = [_words(document) for document in documents]
    counts = Counter(word for bag in bags for word in bag)
    weights = {word: math.log(1 + len(bags) / count) for word, count in counts.items()}
    return [_share(sum(weights[w] for w in bag & asked), sum(weights[w] for w in bag)) for bag in bags]


def _share(mentioned: float, total: float) -> float:
    return LEAST_RELEVANCE + (1 - LEAST_RELEVANCE) * (mentioned / total if total else 0.0)


@lru_cache(maxsize=1024)  # the same tools are described in every run
def _words(text: str) -> frozenset[str]:
    """Return the lower-case words of three letters and more, plural s removed."""
    return frozenset(word.removesuffix("s") for word in _WORD.findall(text.lower()) if len(word) > 2)
