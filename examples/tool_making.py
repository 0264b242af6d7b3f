"""A strong model makes a tool from a few solved tasks, once; a cheap one uses it from then on.

Both models are scripted. `tool_making: {maker: smith, examples: dates.jsonl, store: made}` says the same in YAML.
"""

import json
from tempfile import TemporaryDirectory

import anyio

from agentkit import Agent
from agentkit.backends import ScriptedBackend, calls
from agentkit.backends.fake import Reply
from agentkit.toolmaking import Example, Family, ToolMaking
from agentkit.types import Request

WORDS = ("stone", "river", "cloud", "amber")
FAMILY = Family("reversing", tuple(Example(f"Write the word {word} backwards.", word[::-1]) for word in WORDS))
CODE = '''```python
def backwards(word: str) -> str:
    """Write a word backwards.

    Args:
        word: The word.
    """
    return word[::-1]
```'''
CALLS = "\n".join(json.dumps({"word": word}) for word in WORDS)


def user(request: Request) -> Reply:
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    return calls(("backwards", {"word": last.text.split()[3]})) if request.tools else "thinking " * 200 + "?"


async def main() -> None:
    smith = Agent(ScriptedBackend([CODE, CALLS]), name="smith")
    with TemporaryDirectory() as store:
        agent = Agent(ScriptedBackend(user), tool_making=ToolMaking(smith, [FAMILY], store))
        for word in ("planet", "silver", "marble", "garden", "anchor", "basket"):
            answer = await agent.run(f"Write the word {word} backwards.", budget="usd=0.05")
            made = answer.tool_making
            assert made is not None
            print(f"{answer.text.split()[-1]} for ${answer.spent.usd}, {made.tool or 'no tool'}: {made.economics}")


anyio.run(main)
