"""`agentkit validate`, `schema` and `init`: agent definitions as files."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.console import print_json
from agentkit.cli.options import File
from agentkit.errors import ConfigError

DEFINITION = "agentkit.yaml"
SCHEMA = "agentkit.schema.json"


def validate(file: File) -> None:
    """Check FILE and everything it includes; nothing it names is imported, loaded or called."""
    from agentkit.definition import read_definition

    spec = read_definition(file).spec
    counts = ((len(spec.agents), "agent"), (len(spec.models), "model"), (len(spec.tools), "tool"))
    parts = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    typer.echo(f"{file}: valid; {parts}; entry {spec.entry}")


def schema() -> None:
    """Print the JSON schema of agent definitions, for editors."""
    from agentkit.schema import json_schema

    print_json(json_schema())


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, file_okay=False)] = Path("."),
) -> None:
    """Write a small definition that runs as it is, and the schema beside it; refuses to overwrite."""
    from agentkit.schema import json_schema

    starter = files("agentkit.cli").joinpath("starter.yaml").read_text("utf-8")
    contents = {DEFINITION: starter, SCHEMA: json.dumps(json_schema(), indent=2) + "\n"}
    for name in contents:
        if (folder / name).exists():
            raise ConfigError(f"{folder / name} exists; remove it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text, "utf-8")
        typer.echo(folder / name)
