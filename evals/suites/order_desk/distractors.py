"""Tools that have nothing to do with the order desk, to fill a prompt with."""

from __future__ import annotations

import random

from agentkit.evals.suites.order_desk.names import Split, split_of
from agentkit.types import ToolSpec

_VERBS = "get find list send create delete update open close print book cancel".split()
_UNSEEN_VERBS = "archive share rename".split()
"""Verbs of no tool in training, for crowds larger than what the test split has."""
_NOUNS = (
    "weather news calendar meeting email invoice file folder photo song movie recipe flight hotel train map route "
    "contact task reminder alarm note report chart ticket bug branch page post comment price_alert exchange_rate "
    "stock_quote"
).split()
_ARGUMENTS = (
    ("query", "string"),
    ("city", "string"),
    ("date", "string"),
    ("id", "integer"),
    ("limit", "integer"),
    ("title", "string"),
)
_TEMPLATES = ("{} the {} of a user.", "{} one {} by its key.", "{} a {} in the archive.", "{} every {} of today.")


def distractors(rng: random.Random, split: Split, count: int) -> tuple[ToolSpec, ...]:
    """Return `count` different tools whose names belong to `split`."""
    names = [name for verb in _VERBS for noun in _NOUNS if split_of(name := f"{verb}_{noun}") == split]
    if count > len(names) and split == "test":
        names += [f"{verb}_{noun}" for verb in _UNSEEN_VERBS for noun in _NOUNS]
    chosen = rng.sample(names, count)
    return tuple(_spec(rng, name) for name in chosen)


def _spec(rng: random.Random, name: str) -> ToolSpec:
    verb, _, noun = name.partition("_")
    arguments = rng.sample(_ARGUMENTS, rng.randint(1, 2))
    description = rng.choice(_TEMPLATES).format(verb.capitalize(), noun.replace("_", " "))
    properties = {argument: {"type": kind} for argument, kind in arguments}
    return ToolSpec(name, description, {"type": "object", "properties": properties, "required": list(properties)})
