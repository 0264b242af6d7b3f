"""The person at the terminal is asked before a tool runs whose policy wants that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from anyio import to_thread
from rich.console import Console
from rich.text import Text

from agentkit.tools.policy import Approval, Approver
from agentkit.tools.result import result_text, truncated

_SHOWN = 500
"""Characters of the arguments."""


def somebody_is_there(console: Console) -> bool:
    """Tell whether a person can read `console` and answer."""
    return console.is_terminal and sys.stdin.isatty()


def ask_on(console: Console, quiet: Callable[[], AbstractContextManager[None]]) -> Approver:
    """Return what asks on `console`, within `quiet`, and takes nothing but a yes for one."""

    async def approve(question: Approval) -> bool:
        with quiet():
            arguments = truncated(result_text(question.arguments), _SHOWN)
            console.print(
                Text.assemble((f"{question.tool} ({question.effect}) ", "bold"), arguments), soft_wrap=True
            )
            console.print(Text(f"{question.reason}.", "yellow"))
            if question.untrusted:
                console.print(Text(f"The user did not name: {', '.join(question.untrusted)}.", "yellow"))
            console.print("Run it? [y/N] ", end="", markup=False)
            answer = await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        return answer.strip().lower() in ("y", "yes")

    return approve
