"""A scripted maker and user of tools that turn words around."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentkit import Agent
from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.toolmaking import Example, Family, ToolMaking
from agentkit.tools.sandbox import Sandbox
from agentkit.types import Request
from tests.scenario import card

WORDS = ("stone", "river", "cloud", "amber", "wheat")
BOX = Sandbox("process", seconds=60)  # starting a process takes seconds on a busy machine


def task(word: str) -> str:
    return f"Write the word {word} backwards, please."


FAMILY = Family("reversing", tuple(Example(task(word), word[::-1]) for word in WORDS))
CALLS = "\n".join(json.dumps({"word": word}) for word in WORDS)


def code(body: str, name: str = "backwards") -> str:
    return f'```python\ndef {name}(word: str) -> str:\n    """Write a word backwards."""\n    {body}\n```'


RIGHT, WRONG = code("return word[::-1]"), code("return word.upper()")
REMEMBERS = code("return {'stone': 'enots', 'river': 'revir', 'cloud': 'duolc'}.get(word, '')")


def user(request: Request) -> Reply:
    """Call the tool where there is one, else think for long."""
    last = request.messages[-1]
    if "The budget is spent" in last.text:
        return "wrapped up"
    if last.role == "tool":
        return last.text
    return calls(("backwards", {"word": last.text.split()[3]})) if request.tools else "hm " * 300 + "unsure"


def maker(*replies: Reply) -> tuple[Agent[str], ScriptedBackend]:
    backend = ScriptedBackend(list(replies), card=card("strong", "10"))
    return Agent(backend, name="smith"), backend


def workshop(
    store: Path, *replies: Reply, script: Callable[[Request], Reply] = user, **options: Any
) -> tuple[Agent[str], ScriptedBackend, ScriptedBackend]:
    """Return an agent that makes tools, its own model and the maker's."""
    smith, strong = maker(*replies)
    families: Sequence[Family] = (FAMILY,)
    making = ToolMaking(smith, families, store, sandbox=BOX, **{"when": "always", **options})
    cheap = ScriptedBackend(script, card=card("cheap", "1"))
    return Agent(cheap, tool_making=making, max_output_tokens=400), cheap, strong
