"""The command line. stdout is data, stderr is progress; exit codes are in `exits`.

Each command imports what it needs when it runs, so that `agentkit --help` loads little more than typer.
"""

from agentkit.cli.app import main

__all__ = ["main"]
