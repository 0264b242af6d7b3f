"""Four public sets of tools and the questions that need them, read as agentkit's own tools."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.evals.public_data import required_folder, rows
from agentkit.tools import Context, Tool
from agentkit.types import ToolSpec

_FIELD = re.compile(r"'(\w+)': \{")


class Described(NamedTuple):
    """A tool's name, description and parameters, which of them it must be given, and what its result holds."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    required: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the places, in the set's tools, of those that answer it."""

    text: str
    gold: frozenset[int]


@dataclass(frozen=True, slots=True)
class ToolSet:
    """A set's tools and questions."""

    name: str
    tools: tuple[Tool, ...]
    asked: tuple[Asked, ...]

    def sample(self, count: int, seed: int) -> ToolSet:
        """Return the set with at most `count` of its questions, drawn by `seed`."""
        if len(self.asked) <= count:
            return self
        return ToolSet(self.name, self.tools, tuple(random.Random(seed).sample(self.asked, count)))


def read(name: str) -> ToolSet:
    """Return the set `name` of `SETS`; raises ConfigError where its data is not."""
    return SETS[name]()


def _metatool(kind: str) -> ToolSet:
    place = required_folder("tools_metatool")
    tools: list[Described] = [
        Described(row["tool"], row["description"], {})
        for row in rows(place / "tools.jsonl.gz")
        if row["set"] == kind
    ]
    asked = ((row["query"], row["tool"]) for row in rows(place / f"{kind}_tool_queries.jsonl.gz"))
    pairs = [(text, [gold] if isinstance(gold, str) else gold) for text, gold in asked]
    return _set(f"toole_{kind}", tools, pairs)


def _sealtools() -> ToolSet:
    place = required_folder("tools_sealtools")
    tools: list[Described] = [
        Described(
            row["api_name"],
            f"{row['api_description']} {row['field']}",
            row["parameters"],
            tuple(row["required"]),
            tuple(row["responses"]),
        )
        for row in rows(place / "tools.jsonl.gz")
    ]
    asked = rows(place / "queries.jsonl.gz")
    return _set("sealtools", tools, [(row["query"], [call["api"] for call in row["calling"]]) for row in asked])


def _apibank() -> ToolSet:
    place = required_folder("tools_apibank")
    tools = [_api(row["name"], row["api_info"]) for row in rows(place / "apis.jsonl.gz")]
    asked = [_dialogue(row["turns"]) for row in rows(place / "dialogues.jsonl.gz")]
    return _set("apibank", tools, asked)


def _api(name: str, info: str) -> Described:
    """The parts of an interface are named in the text that describes it."""
    taken, _, given = info.partition("output_parameters")
    return Described(name, info, {}, tuple(_FIELD.findall(taken)), tuple(_FIELD.findall(given)))


def _dialogue(turns: Iterable[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """All the user says, and all that is called."""
    turns = list(turns)
    said = " ".join(turn["text"] for turn in turns if turn["role"] == "User")
    return said, [turn["api_name"] for turn in turns if turn["role"] == "API"]


def _stabletoolbench() -> ToolSet:
    place = required_folder("tools_stabletoolbench")
    tools: list[Described] = []
    for row in rows(place / "apis.jsonl.gz"):
        parameters = {part["name"]: part for part in row["required_parameters"] + row["optional_parameters"]}
        about = f"{row['category_name']} {row['tool_name']}. {row['api_description']}"
        required = tuple(part["name"] for part in row["required_parameters"])
        tools.append(Described(row["api_id"], about, parameters, required))
    asked = rows(place / "queries.jsonl.gz")
    return _set("stabletoolbench", tools, [(row["query"], row["relevant_apis"]) for row in asked])


SETS: Mapping[str, Callable[[], ToolSet]] = {
    "toole_single": lambda: _metatool("single"),
    "toole_multi": lambda: _metatool("multi"),
    "sealtools": _sealtools,
    "apibank": _apibank,
    "stabletoolbench": _stabletoolbench,
}


def _set(name: str, tools: Iterable[Described], pairs: Iterable[tuple[str, Iterable[str]]]) -> ToolSet:
    """Questions whose tools are all unknown are left out: nothing could be found for them."""
    named = list(tools)
    place = {described.name: index for index, described in enumerate(named)}
    asked = [Asked(text, frozenset(place[key] for key in gold if key in place)) for text, gold in pairs]
    made = tuple(_tool(index, described) for index, described in enumerate(named))
    return ToolSet(name, made, tuple(question for question in asked if question.gold))


def _tool(index: int, described: Described) -> Tool:
    """The tool by a name that providers take; what its own name says goes on being searched."""
    local = described.name.rsplit("/", 1)[-1]
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in local)[:56]
    properties = {
        name: {"description": part.get("description") or ""} for name, part in described.parameters.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(described.required)}
    return Tool(ToolSpec(f"{name}_{index}", described.description, schema), _unused, gives=described.gives)


async def _unused(arguments: Mapping[str, Any], context: Context[Any]) -> object:
    raise NotImplementedError("the tools of a retrieval set are found, never called")
