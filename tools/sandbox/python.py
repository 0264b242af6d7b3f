"""Python that a model wrote, run in a process of its own at a level of safety that is stated with the result."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process

from agentkit.costs import Cost
from agentkit.errors import ToolFailed
from agentkit.tools.sandbox.launcher import NOT_SHUT
from agentkit.tools.sandbox.levels import Level, require
from agentkit.tools.tool import Tool, tool

_HERE = Path(__file__).parent
_GRACE = 10.0
"""Seconds in which the launcher ends what the code has started, before it is killed itself and what is left stays;
on a busy machine it does not run at once."""
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a piece of code: all it printed, its exit code, and at which level it was kept.

    `ended` is `exited`, `timeout` or `output`, when it printed more than was allowed.
    """

    output: str
    exit_code: int
    level: Level
    ended: str = "exited"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs Python code: each piece in a process and an empty folder of its own, both gone afterwards.

    `seconds` is wall time and the most processor time, `memory`, `file_size` and `output` are in bytes. Raises
    SandboxUnavailable at once when this machine does not have `level`.
    """

    level: Level = "seccomp"
    seconds: float = 10.0
    memory: int = 512_000_000
    file_size: int = 10_000_000
    output: int = 20_000

    def __post_init__(self) -> None:
        require(self.level)

    async def run(self, code: str) -> Ran:
        """Run `code`; ToolFailed when the sandbox cannot be shut. Cancelled, it leaves nothing running."""
        with tempfile.TemporaryDirectory(prefix="agentkit-", ignore_cleanup_errors=True) as made:
            folder = os.path.realpath(made)  # noqa: ASYNC240  # of a folder just made
            environment = {"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PATH": ""}
            command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_HERE / "launcher.py")]
            process = await anyio.open_process(
                command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, cwd=folder, start_new_session=True
            )
            try:
                return await self._watch(process, json.dumps(self._wanted(code, folder)).encode())
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)

    async def _watch(self, process: Process, wanted: bytes) -> Ran:
        said = bytearray()
        ended = "timeout"
        assert process.stdin and process.stdout and process.stderr
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:

                async def listen(stream: ByteReceiveStream) -> None:
                    nonlocal ended
                    async for chunk in stream:
                        said.extend(chunk[: self.output + 1 - len(said)])
                        if len(said) > self.output:
                            ended = "output"
                            group.cancel_scope.cancel()

                group.start_soon(listen, process.stdout)
                group.start_soon(listen, process.stderr)
                try:
                    await process.stdin.send(wanted)
                    await process.stdin.aclose()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass  # its exit code says why it did not listen
                await process.wait()
                ended = "exited"
        code = process.returncode if ended == "exited" and process.returncode is not None else 137
        text = _CONTROL.sub("", said[: self.output].decode("utf-8", "replace"))
        if code == NOT_SHUT:
            raise ToolFailed("sandbox", text.strip() or "it could not be shut")
        return Ran(text, code, self.level, ended)

    def _wanted(self, code: str, folder: str) -> Mapping[str, Any]:
        paths = sysconfig.get_paths()
        library = {paths["stdlib"], paths["platstdlib"], f"{sys.base_prefix}/lib"}
        return {
            "code": code,
            "folder": folder,
            "level": self.level,
            "limits": {
                "RLIMIT_AS": self.memory,
                "RLIMIT_CPU": max(1, round(self.seconds)),
                "RLIMIT_FSIZE": self.file_size,
                "RLIMIT_NOFILE": 64,
                "RLIMIT_CORE": 0,
            },
            "readable": [*_SYSTEM, *sorted(library)],
            "landlock": str(_HERE / "landlock.py"),
            "seccomp": str(_HERE / "seccomp.py"),
        }


def python_tool(
    sandbox: Sandbox | None = None, *, name: str = "run_python", cost: Mapping[str, Any] | Cost | None = None
) -> Tool:
    """Return a tool that runs Python code in `sandbox`, by default at the strongest level.

    The result, and with it the trace, ends with the exit code and the level.
    """
    place = sandbox or Sandbox()

    @tool(name=name, cost=cost, timeout=None)
    async def run_python(code: str) -> str:
        """Run Python 3 code that prints its result; standard library only, no network, files last for one call."""
        ran = await place.run(code)
        why = {"timeout": f", ended after {place.seconds:g} s", "output": ", ended: it printed too much"}
        return f"{ran.output.rstrip()}\n[exit code {ran.exit_code}{why.get(ran.ended, '')}; sandbox: {ran.level}]"

    return run_python


async def _end(process: Process) -> None:
    """Have the launcher end everything below it, then see to it that it is gone too."""
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_GRACE):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
