"""The catalog: every tool and model a run could use, with what it would cost and what it is expected to add.

Value and cost are predictions for one task. A tool's value is the share of its rare words that the task mentions
(its prior relevance); its cost is its schema and the price of one call. A model's value is its quality prior; its
cost is the prompt and a short reply. Both are of one turn: the composer then rules out what not even one turn can
afford, and leaves the rest to the ledger. Priced for more turns, tools were dropped that the work could have paid
for, and a model without its tools answers all the same (`agentkit bench anytime`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from agentkit.costs import Cost
from agentkit.tools import Tool
from agentkit.types import ModelCard
from agentkit.usage import Price, Usage

EXPECTED_REPLY_TOKENS = 16
CHARACTERS_PER_TOKEN = 4
UNKNOWN_QUALITY = 0.5
LEAST_RELEVANCE = 0.05
"""Value of a tool whose words the task never mentions: it may still be needed."""

_NO_FEE = Cost()
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Component:
    """Something a run can be equipped with: its expected cost over a run and its expected value, 0 to 1.

    Without a known price (`priced`) the dollars of `cost` say nothing.
    """

    name: str
    kind: Literal["tool", "model"]
    cost: Cost
    value: float
    priced: bool = True

    @property
    def key(self) -> str:
        """Its name in the catalog, such as `tool:search`; a tool and a model may share a name."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The components that compete for the budget of a task."""

    components: tuple[Component, ...]

    @classmethod
    def of(cls, task: str, prompt: str, tools: Sequence[Tool], cards: Sequence[ModelCard]) -> Catalog:
        """Price and value `tools` and `cards` for `task`; `prompt` is what every turn repeats besides tools."""
        reader = min(cards, key=_input_price, default=None)
        relevance = _relevance(task, [f"{tool.name} {tool.spec.description}" for tool in tools])
        return cls(
            (
                *(_model_component(card, task, prompt) for card in cards),
                *(_tool_component(tool, value, reader) for tool, value in zip(tools, relevance, strict=True)),
            )
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The keys of the components chosen, why each was or was not, their value and cost, and what more would buy.

    `more` is a sentence such as "$0.000012 more would add find_customer", empty when nothing is left out.
    """

    chosen: frozenset[str]
    reasons: Mapping[str, str]
    value: float
    cost: Cost
    more: str = ""


def _model_component(card: ModelCard, task: str, prompt: str) -> Component:
    read = (len(task) + len(prompt)) // CHARACTERS_PER_TOKEN
    usage = Usage(input_tokens=read, output_tokens=EXPECTED_REPLY_TOKENS)
    value = UNKNOWN_QUALITY if card.quality is None else card.quality
    return Component(card.name, "model", _cost(usage, card.price), value, card.price is not None)


def _tool_component(tool: Tool, relevance: float, reader: ModelCard | None) -> Component:
    usage = Usage(input_tokens=_schema_characters(tool) // CHARACTERS_PER_TOKEN)
    return Component(tool.name, "tool", _cost(usage, reader.price if reader else None, tool.cost), relevance)


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
