"""Exit codes: how a command ended, for scripts."""

from __future__ import annotations

from enum import IntEnum

from agentkit.errors import AgentkitError, BackendError, BudgetError, ConfigError


class ExitCode(IntEnum):
    """What a command returns to the shell; degraded and exhausted answers are OK. Typer itself gives 2 and 130."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    REFUSED = 4
    UNAVAILABLE = 5
    GATE = 6
    INTERRUPTED = 130


def exit_code(error: AgentkitError) -> ExitCode:
    """Return the code of a command that ended with `error`."""
    match error:
        case ConfigError():
            return ExitCode.INVALID
        case BudgetError():
            return ExitCode.REFUSED
        case BackendError():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED
