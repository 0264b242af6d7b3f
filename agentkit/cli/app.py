"""The commands by name, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from traceback import format_exception
from typing import Annotated, NoReturn

import typer

import agentkit
from agentkit.cli import budget, trace, zoo
from agentkit.cli import eval as evaluate
from agentkit.cli.bench import bench
from agentkit.cli.compose import compose
from agentkit.cli.definitions import init, schema, validate
from agentkit.cli.demo import demo
from agentkit.cli.exits import ExitCode, exit_code
from agentkit.cli.models import models
from agentkit.cli.run import run
from agentkit.cli.serve import serve
from agentkit.errors import AgentkitError
from agentkit.redaction import redact

app = typer.Typer(
    help="Run LLM agents under a budget.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, compose, validate, schema, init, models, serve, demo, bench):
    app.command()(command)
app.add_typer(trace.app, name="trace")
app.add_typer(budget.app, name="budget")
app.add_typer(evaluate.app, name="eval")
app.add_typer(zoo.app, name="zoo")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (those of the process by default) name, and exit."""
    try:
        app(arguments, prog_name="agentkit")
        sys.exit(ExitCode.OK)
    except AgentkitError as error:
        _fail(error, str(error), exit_code(error))
    except Exception as error:
        hint = "" if os.environ.get("AGENTKIT_DEBUG") else "; set AGENTKIT_DEBUG=1 for the traceback"
        _fail(error, f"unexpected {type(error).__name__}: {error}{hint}", ExitCode.FAILED)


def _fail(error: Exception, message: str, code: ExitCode) -> NoReturn:
    if os.environ.get("AGENTKIT_DEBUG"):
        typer.echo(redact("".join(format_exception(error))), err=True, nl=False)
    typer.echo(f"error: {redact(' '.join(message.split()))}", err=True)
    sys.exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentkit {agentkit.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
