"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentkit.costs import Budget
from agentkit.errors import ConfigError
from agentkit.settings import parse_budget


def _budget(text: str) -> Budget:
    try:
        return parse_budget(text)
    except ConfigError as error:  # a slip on the command line is wrong usage, not a wrong definition
        raise typer.BadParameter(str(error)) from error


File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The agent definition.")]
Task = Annotated[str, typer.Argument(metavar="TASK", show_default=False, help="What is asked.")]
Limits = Annotated[
    Budget | None,
    typer.Option(
        "--budget",
        parser=_budget,
        metavar="usd=0.05,seconds=30",
        show_default=False,
        help="The limits, or `unlimited`; by default the agent's, else the project's.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
