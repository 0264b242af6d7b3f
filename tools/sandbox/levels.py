"""How much code is kept from, and what of it this machine can do."""

from __future__ import annotations

import sys
from functools import cache
from typing import Literal, get_args

from agentkit.errors import SandboxUnavailable
from agentkit.tools.sandbox import landlock, seccomp

Level = Literal["process", "landlock", "seccomp"]
"""Each includes those before it.

`process`: a process of its own with limits of time, memory and output, an empty environment and no rights of
root's; it stops accidents, not malice. `landlock`: and no file outside its own folder is read or written but
Python's own library, no program is started, no TCP connection made, no other process signalled. `seccomp`: and no
sockets of any kind, no new processes, no way into the rarer parts of the kernel.
"""
_LEAST_LANDLOCK = 6
"""The version of the interface from which on it keeps from TCP and signals (Linux 6.12)."""


@cache
def missing() -> dict[Level, str]:
    """Return by level why this machine cannot do it; what is not listed it can."""
    found: dict[Level, str] = {}
    if sys.platform == "win32":
        found["process"] = "it needs the processes of POSIX"
    version = landlock.version()
    if version < _LEAST_LANDLOCK:
        have = f"the kernel has version {version}" if version else "the kernel has none"
        found["landlock"] = f"it needs Landlock {_LEAST_LANDLOCK} (Linux 6.12), and {have}"
    if not seccomp.is_available():
        found["seccomp"] = "it needs seccomp on x86-64 Linux"
    return found


def levels() -> tuple[Level, ...]:
    """Return the levels this machine has, weakest first."""
    every: tuple[Level, ...] = get_args(Level)
    return tuple(level for place, level in enumerate(every) if not missing().keys() & set(every[: place + 1]))


def require(level: Level) -> None:
    """Raise SandboxUnavailable if this machine does not have `level`; a lower one is never taken instead."""
    if level not in levels():
        reasons = "; ".join(missing().values())
        raise SandboxUnavailable(level, reasons, levels())
