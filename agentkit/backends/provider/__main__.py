"""A fake provider as a process: prints its base URLs as a line of JSON, then serves until it is interrupted."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, get_args

import typer

from agentkit.backends.provider.faults import FAULTS, Fault, at_random
from agentkit.backends.provider.script_file import read_scripts
from agentkit.backends.provider.server import Dialect, Provider
from agentkit.errors import ConfigError
from agentkit.types import Request


def serve(
    script: Annotated[
        Path | None,
        typer.Argument(help="YAML: what each model says; without it every model repeats what it is told."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 0,
    faults: Annotated[float, typer.Option(min=0, max=1, help="The share of calls that go wrong.")] = 0.0,
    kinds: Annotated[str, typer.Option(help="What goes wrong with them, by comma.")] = ",".join(FAULTS),
    seed: Annotated[int, typer.Option(help="Draws the faults.")] = 0,
    cache_from: Annotated[int, typer.Option(help="Tokens of the shortest prefix that is cached.")] = 1_024,
    bill: Annotated[Path | None, typer.Option(help="Gets a line of JSON for each call.")] = None,
) -> None:
    """Serve a fake provider on loopback that speaks every dialect and keeps its own bill."""
    try:
        models = read_scripts(script) if script else _echo
        plan = at_random(faults, seed=seed, kinds=_faults(kinds))
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with Provider(
            models, faults=plan, seed=seed, cache_from=cache_from, port=port, bill_file=bill
        ) as provider:
            sys.stdout.write(json.dumps({dialect: provider.url(dialect) for dialect in get_args(Dialect)}) + "\n")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _faults(kinds: str) -> list[Fault]:
    wanted = [kind.strip() for kind in kinds.split(",")]
    if unknown := [kind for kind in wanted if kind not in FAULTS]:
        raise ConfigError(f"there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    return [fault for fault in FAULTS if fault in wanted]


def _echo(request: Request) -> str:
    return next((message.text for message in reversed(request.messages) if message.role == "user"), "")


if __name__ == "__main__":
    typer.run(serve)
