"""What the scripted maker of `bench latm` writes: one or more drafts of a tool for each family of BIG-Bench Hard.

Each was written from the family's first eight questions, as a model would; they run in the sandbox only, so each
stands by itself. A later draft is what the maker answers when an earlier one fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def sort_words(words: list[str]) -> str:
    """Sort words alphabetically.

    Args:
        words: The words, as they stand in the list.
    """
    return " ".join(sorted(words))


def close_brackets(sequence: str) -> str:
    """Say which closing brackets complete a sequence.

    Args:
        sequence: The brackets after "Input:".
    """
    pairs = {"(": ")", "[": "]", "{": "}", "<": ">"}
    missing: list[str] = []
    for bracket in sequence.split():
        if bracket in pairs:
            missing.append(pairs[bracket])
        elif missing:
            missing.pop()
    return " ".join(reversed(missing))


def compute(expression: str) -> str:
    """Compute an arithmetic expression of integers.

    Args:
        expression: The expression, without the equals sign.
    """
    return str(eval(expression))


def evaluate_boolean(expression: str) -> str:
    """Evaluate an expression of True, False, and, or, not.

    Args:
        expression: The expression, without the word "is" at the end.
    """
    return str(eval(expression))


def walk(instructions: str) -> str:
    """Say whether instructions lead back to the starting point, Yes or No.

    Args:
        instructions: The sentences with the steps.
    """
    import re

    x = y = 0
    for count, way in re.findall(r"Take (\d+) steps? (\w+)", instructions):
        dx, dy = {"forward": (0, 1), "backward": (0, -1), "left": (-1, 0), "right": (1, 0)}[way]
        x, y = x + int(count) * dx, y + int(count) * dy
    return "Yes" if x == y == 0 else "No"


def walk_and_turn(instructions: str) -> str:
    """Say whether instructions lead back to the starting point, Yes or No.

    Args:
        instructions: The sentences with the steps and turns.
    """
    import re

    x = y = 0
    ahead = (0, 1)
    for turn, count, way in re.findall(r"Turn (\w+)|Take (\d+) steps?(?: (\w+))?", instructions):
        a, b = ahead
        ways = {"": (a, b), "forward": (a, b), "backward": (-a, -b), "around": (-a, -b)}
        ways |= {"left": (-b, a), "right": (b, -a)}
        if turn:
            ahead = ways[turn]
        else:
            x, y = x + int(count) * ways[way][0], y + int(count) * ways[way][1]
    return "Yes" if x == y == 0 else "No"


def track(story: str) -> str:
    """Say which option is right after all swaps.

    Args:
        story: The whole story with its options.
    """
    import re

    text, options = story.split("Options:")
    names = re.findall(r"[A-Z]\w+", text.split(" are ")[0])
    one = "|".join(names)
    before = re.split(r"First,", text)[0].split(":", 1)[1]
    held = {}
    for part in re.split(rf",? (?:and )?(?=(?:{one}) )", " " + before):
        found = re.match(
            rf"({one}) (?:is dancing with|is playing|gets|has|starts with|opens with|with)?\s*(.+)", part
        )
        if found:
            held[found[1]] = re.split(r"[.,]", found[2])[0].strip().removeprefix("a ").removeprefix("an ")
    for a, b in re.findall(rf"({one}) and ({one}) \w+ ", text.split("First,")[1].join(["First,", ""])):
        held[a], held[b] = held[b], held[a]
    asked = re.findall(rf"({one}) (?:is|has)\b", text)[-1]
    for letter, option in re.findall(r"\((\w)\) (.+)", options):
        if held[asked].casefold() in option.casefold():
            return f"({letter})"
    return "none"


def tell_truth(statements: str) -> str:
    """Say whether the last one asked about tells the truth, Yes or No.

    Args:
        statements: The statements and the question.
    """
    import re

    truth: dict[str, bool] = {}
    for who, what in re.findall(r"(?<!says )\b(\w+) (tells the truth|lies)\.", statements):
        truth[who] = what == "tells the truth"
    for who, other, what in re.findall(r"(\w+) says (\w+) (tells the truth|lies)\.", statements):
        truth[who] = truth[other] == (what == "tells the truth")
    asked = re.findall(r"Does (\w+) tell", statements)[-1]
    return "Yes" if truth[asked] else "No"


def count_items(items: list[str]) -> str:
    """Count how many there are.

    Args:
        items: Each thing with its number, such as "two lamps".
    """
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return str(sum(numbers.index(item.split()[0]) + 1 if item.split()[0] in numbers else 1 for item in items))


Arguments = Callable[[str], dict[str, Any]]


def _after(mark: str, name: str, end: str = "") -> Arguments:
    return lambda task: {name: task.partition(mark)[2].removesuffix(end).strip()}


def _whole(name: str) -> Arguments:
    return lambda task: {name: task}


def _items(task: str) -> dict[str, Any]:
    listed = task.partition("I have ")[2].partition(".")[0].replace(" and ", " ").split(",")
    return {"items": [item.strip() for item in listed]}


DRAFTS: Mapping[str, tuple[Callable[..., str], ...]] = {
    "boolean_expressions": (evaluate_boolean,),
    "dyck_languages": (close_brackets,),
    "multistep_arithmetic_two": (compute,),
    "navigate": (walk, walk_and_turn),
    "object_counting": (count_items,),
    "tracking_shuffled_objects": (track,),
    "web_of_lies": (tell_truth,),
    "word_sorting": (sort_words,),
}
"""By family, what the maker writes one after another."""

ARGUMENTS: Mapping[str, Arguments] = {
    "boolean_expressions": lambda task: {"expression": task.removesuffix(" is")},
    "dyck_languages": _after("Input: ", "sequence"),
    "multistep_arithmetic_two": lambda task: {"expression": task.removesuffix(" =").strip()},
    "navigate": lambda task: {"instructions": task.partition("\nOptions:")[0].partition("? ")[2]},
    "object_counting": _items,
    "tracking_shuffled_objects": _whole("story"),
    "web_of_lies": _after("Question: ", "statements"),
    "word_sorting": lambda task: {"words": task.partition("List: ")[2].split()},
}
"""By family, what a reader takes out of a question to call the tool."""


def code_of(function: Callable[..., str]) -> str:
    """Return the source of a draft, as the maker writes it."""
    return f"```python\n{inspect.getsource(function)}```"
