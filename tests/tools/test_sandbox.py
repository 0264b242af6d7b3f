"""Code in the sandbox: what works, what each level must stop, and that nothing is left of it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend, calls
from agentkit.errors import SandboxUnavailable, ToolFailed
from agentkit.tools.sandbox import Level, Ran, Sandbox, landlock, levels, python_tool, seccomp
from agentkit.tools.sandbox.levels import missing
from agentkit.trace import ToolFinished
from tests.tools.escapes import PROGRAMS

pytestmark = pytest.mark.anyio

EVERY: tuple[Level, ...] = get_args(Level)
SECRET = "the secret outside"


@pytest.fixture(scope="module")
def aims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the programs aim at: files, listening sockets of every kind, a process."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text(SECRET)
    (outside / "kept").write_text("kept")
    abstract = f"agentkit-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        for address in (str(outside / "unix"), f"\0{abstract}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        handle = os.open(outside / "secret", os.O_RDONLY)
        os.set_inheritable(handle, True)
        try:
            yield {
                "outside": outside, "secret": outside / "secret", "unix": outside / "unix", "abstract": abstract,
                "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "victim": victim.pid,
                "process": victim, "mailbox": udp,
            }  # fmt: skip
        finally:
            os.close(handle)
            victim.kill()
            victim.wait()


def needed(level: Level) -> None:
    """Skip where this machine does not have `level`: a refusal, which is counted apart."""
    if level not in levels():
        with pytest.raises(SandboxUnavailable):
            Sandbox(level)
        pytest.skip(f"refused: {missing()}")


def programs(level: Level) -> dict[str, str]:
    """What `level` must stop."""
    return {name: code for lower in EVERY[: EVERY.index(level) + 1] for name, code in PROGRAMS[lower].items()}


def test_there_are_enough() -> None:
    assert len(programs("seccomp")) >= 40


@pytest.mark.parametrize("level", EVERY)
async def test_no_program_escapes(level: Level, aims: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    needed(level)
    monkeypatch.setenv("AGENTKIT_TEST_SECRET", SECRET)
    sandbox = Sandbox(level, seconds=1.5, memory=300_000_000)
    escaped: dict[str, str] = {}
    turns = anyio.CapacityLimiter(6)

    async def attempt(name: str, code: str) -> None:
        async with turns:
            ran = await sandbox.run(code.format_map(aims))
        if "ESCAPED" in ran.output or SECRET in ran.output or len(ran.output) > sandbox.output:
            escaped[name] = ran.output[-500:]
        if any(sequence in ran.output for sequence in ("\x1b", "\x07", "\x9b")):
            escaped[name] = "control sequences"

    async with anyio.create_task_group() as group:
        for name, code in programs(level).items():
            group.start_soon(attempt, name, code)
    assert escaped == {}
    assert aims["process"].poll() is None
    await anyio.sleep(0.8)  # a daemon would have written by now
    if level == "process":  # which does not keep from files, so that only what it must stop is looked for
        assert not (aims["outside"] / "daemon").exists()
        return
    assert sorted(path.name for path in aims["outside"].iterdir()) == ["kept", "secret", "unix"]
    assert (aims["outside"] / "kept").read_text() == "kept"
    if level == "seccomp":
        with pytest.raises(BlockingIOError):
            aims["mailbox"].recv(1)


@pytest.mark.parametrize("level", EVERY)
async def test_honest_code_works(level: Level) -> None:
    needed(level)
    code = """
import asyncio, collections, csv, datetime, decimal, hashlib, json, math, random, re, sqlite3, threading, zoneinfo
open("notes.txt", "w").write("ça va")
print(open("notes.txt").read(), json.dumps({"pi": round(math.pi, 2)}))
thread = threading.Thread(target=lambda: print("thread")); thread.start(); thread.join()
async def main(): await asyncio.sleep(0); print("loop")
asyncio.run(main())
database = sqlite3.connect("d.db"); print(database.execute("SELECT 6 * 7").fetchone()[0])
print(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("UTC")).isoformat())
class A: pass
print(A.__module__)
"""
    ran = await Sandbox(level, seconds=60).run(code)
    lines = ['ça va {"pi": 3.14}', "thread", "loop", "42", "2026-07-01T00:00:00+00:00", "__main__"]
    assert ran == Ran("\n".join(lines) + "\n", 0, level)


ENDS = {
    "raise KeyError('x')": (1, "KeyError: 'x'"),
    "import sys; sys.exit(3)": (3, ""),
    "import sys; sys.exit('no')": (1, "no"),
    "import sys; sys.exit(97)": (1, ""),
    "def f(:": (1, "SyntaxError"),
    "import os; os.abort()": (134, ""),
    "print('a', end='')": (0, "a"),
}


@pytest.mark.parametrize(("code", "end"), ENDS.items())
async def test_how_code_ends(code: str, end: tuple[int, str]) -> None:
    ran = await Sandbox(levels()[-1], seconds=60).run(code)
    assert (ran.exit_code, ran.ended) == (end[0], "exited")
    assert end[1] in ran.output
    assert "launcher.py" not in ran.output


async def test_limits_are_said() -> None:
    assert (
        await Sandbox(levels()[-1], seconds=0.5).run("print('a', flush=True)\nwhile True: pass")
    ).ended == "timeout"
    ran = await Sandbox(levels()[-1], seconds=60, output=10).run("print('x' * 100)")
    assert (ran.output, ran.ended) == ("x" * 10, "output")


async def test_cancellation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, time\nforks = [os.fork() for n in range(3)]\nif not forks[-1]: os.setsid()\ntime.sleep(600)"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox = Sandbox("landlock" if "landlock" in levels() else "process", seconds=600)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(sandbox.run, code)
            while processes_in(tmp_path) < 8:  # noqa: ASYNC110  # they have no event
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        while processes_in(tmp_path):  # noqa: ASYNC110
            await anyio.sleep(0.05)


def processes_in(folder: Path) -> int:
    """How many processes work in a folder or below, where those of a sandbox do and no other test's."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it is gone, or a zombie
                found += os.readlink(entry / "cwd").startswith(str(folder))
    return found


@pytest.mark.parametrize("level", ["landlock", "seccomp"])
def test_a_missing_level_is_refused(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 3)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    missing.cache_clear()
    try:
        assert levels() == ("process",)
        with pytest.raises(SandboxUnavailable, match="the kernel has version 3.*ask for 'process'"):
            Sandbox(level)
    finally:
        missing.cache_clear()


async def test_code_does_not_run_when_the_sandbox_cannot_be_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed("seccomp")
    for name in ("launcher.py", "landlock.py", "seccomp.py"):
        source = Path(landlock.__file__).with_name(name).read_text()
        (tmp_path / name).write_text(source.replace("_ARCHITECTURE = 0x", "_ARCHITECTURE = no"))
    monkeypatch.setattr("agentkit.tools.sandbox.python._HERE", tmp_path)
    with pytest.raises(ToolFailed, match="the sandbox cannot be shut"):
        await Sandbox("seccomp", seconds=60).run("print('ran')")


async def test_an_agent_computes_and_the_trace_has_the_level() -> None:
    sandbox = Sandbox(levels()[-1], seconds=60)
    model = ScriptedBackend([calls(("run_python", {"code": "print(2**64)"})), "Done."])
    answer = await Agent(model, tools=[python_tool(sandbox)]).run("2**64?", budget=Budget(usd=1))
    [content] = [e.event.content for e in answer.trace if isinstance(e.event, ToolFinished)]
    assert content == f"18446744073709551616\n[exit code 0; sandbox: {sandbox.level}]"
