"""Router-R1's protocol (arXiv 2506.09033): what a routing model says in a turn, read strictly.

    <think> … </think> <search> Model: sub-query </search>        asks a model of the pool
    <think> … </think> <answer> … </answer>                       answers

A turn is one thought and one action, nothing before, between or behind but white space, and no tag within. What
follows the first closing tag of an action is no part of the turn: generation stops there, and a server that stops
leaves the tag out. The first colon ends the model's name, so that a sub-query may have colons of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

ENDS: Final = ("</search>", "</answer>")
"""What ends a turn, for servers that stop where they are told to."""

_TAG = re.compile(r"</?(?:think|search|information|answer)>")
_TURN = re.compile(r"\s*<think>(?P<thought>.*?)</think>\s*<(?P<act>search|answer)>(?P<said>.*)", re.DOTALL)
_PLACEHOLDERS = frozenset({"query", "sub-query", "your query", "question", "..."})
_SHOWN = 60  # characters of a name in a message


class NotATurn(ValueError):
    """The text is no turn of the protocol; the message tells the model what is wrong."""


@dataclass(frozen=True, slots=True)
class Search:
    """The wish to ask `model` the `query`."""

    model: str
    query: str


def read_turn(text: str, pool: Collection[str]) -> Search | str:
    """Return the search that a turn asks for, or the text of its answer; raises NotATurn.

    Names of `pool` count in any case.
    """
    match = _TURN.match(_turn_of(text))
    if match is None:
        raise NotATurn("a turn is <think>…</think> and then <search>Model: query</search> or <answer>…</answer>")
    thought, said = match["thought"].strip(), match["said"].strip()
    if _TAG.search(thought) or _TAG.search(said):
        raise NotATurn("there are tags within tags; close each tag before the next one")
    if not thought:
        raise NotATurn("the thought is empty; say why you act as you do")
    if not said:
        raise NotATurn(f"<{match['act']}> is empty")
    return said if match["act"] == "answer" else _search(said, pool)


def without_tags(text: str) -> str:
    """Return what a text that is no turn may be worth as an answer: its last action, else all but the thoughts."""
    rest = re.sub(r"<think>.*?(?:</think>|$)", "", text, flags=re.DOTALL)
    answers = re.findall(r"<answer>(.*?)(?:</answer>|$)", rest, re.DOTALL)
    rest = re.sub(r"<(search|information)>.*?(?:</\1>|$)", "", answers[-1] if answers else rest, flags=re.DOTALL)
    return _TAG.sub("", rest).strip()


def _turn_of(text: str) -> str:
    """Cut off what follows the first closing tag of an action, and that tag."""
    ends = [place for end in ENDS if (place := text.find(end)) >= 0]
    if not ends:
        return text
    head = text[: min(ends)]
    act = text[min(ends) + 2 : text.index(">", min(ends))]
    return head if f"<{act}>" in head else text  # a tag that closes another action stays, and is refused


def _search(said: str, pool: Collection[str]) -> Search:
    name, colon, query = (part.strip() for part in said.partition(":"))
    if not colon:
        raise NotATurn("a search is Model: query, with a colon between")
    known = {model.casefold(): model for model in pool}
    if name.casefold() not in known:
        raise NotATurn(f"there is no model {name[:_SHOWN]!r}; choose from {', '.join(pool)}")
    if not query or query.casefold() in _PLACEHOLDERS:
        raise NotATurn("the query is empty; write out what the model shall answer")
    return Search(known[name.casefold()], query)
