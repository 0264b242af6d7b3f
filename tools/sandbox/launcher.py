"""Runs in the new process: shuts the sandbox, then runs the code; a script of its own, standard library only.

Two processes. The first stays outside, adopts whatever the code leaves behind and ends all of it; the second gives
up every right it does not need and becomes the code. If a restriction cannot be had the code does not run.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import types

NOT_SHUT = 97
"""The exit code that says that the sandbox could not be shut; code that exits with it is reported as 1."""
_PARENT_DIES, _ADOPT, _DROP_BOUND = 1, 36, 24
_CAPSET = {"x86_64": 126, "aarch64": 91}


def main() -> None:
    """Read what to run, as JSON, from standard input."""
    wanted = json.load(sys.stdin)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    ready, shut = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        os.setsid()
        _become(wanted, shut)
    os.close(shut)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _end_all(child, 143))
    is_shut = os.read(ready, 1) == b"1"
    _, status = os.waitpid(child, 0)
    _end_all(child)
    code = os.waitstatus_to_exitcode(status)
    code = 128 - code if code < 0 else code
    os._exit(NOT_SHUT if not is_shut else 1 if code == NOT_SHUT else code)


def _end_all(child: int, code: int | None = None) -> None:
    """Kill the group of `child`, then every child and those that their deaths leave to us, until none is left."""
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    while children := _children():
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
    if code is not None:
        os._exit(code)


def _children() -> list[int]:
    me, found = str(os.getpid()), []
    for name in filter(str.isdigit, os.listdir("/proc") if sys.platform == "linux" else ()):
        try:
            with open(f"/proc/{name}/stat") as file:
                if file.read().rpartition(")")[2].split()[1] == me:
                    found.append(int(name))
        except OSError:
            pass
    return found


def _become(wanted: dict, shut: int) -> None:  # type: ignore[type-arg]  # runs before anything else is loaded
    try:
        _give_up_rights(wanted)
        os.write(shut, b"1")
        os.close(shut)
    except BaseException as error:
        sys.stderr.write(f"the sandbox cannot be shut: {error}")
        sys.stderr.flush()
        os._exit(NOT_SHUT)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [""]
    code = 0
    try:
        exec(compile(wanted["code"], "<code>", "exec"), module.__dict__)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if isinstance(error.code, str):
            sys.stderr.write(error.code)
    except BaseException:
        import traceback

        kind, raised, trace = sys.exc_info()
        traceback.print_exception(kind, raised, trace.tb_next if trace else None, limit=20)
        code = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code & 0xFF)


def _give_up_rights(wanted: dict) -> None:  # type: ignore[type-arg]
    for name, amount in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), (amount, amount))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(wanted["folder"])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PARENT_DIES, signal.SIGKILL, 0, 0, 0)
        _drop_capabilities(libc)
    import encodings.idna  # noqa: F401
    import traceback  # noqa: F401  # read while that is allowed, as are the tables of text codings

    landlock, seccomp = _module(wanted["landlock"]), _module(wanted["seccomp"])
    if wanted["level"] in ("landlock", "seccomp"):
        landlock.restrict(wanted["readable"], [wanted["folder"]])
    if wanted["level"] == "seccomp":
        seccomp.restrict()


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Keep no right of root's: not to raise a limit, not to make devices, not to pass over permissions."""
    for capability in range(64):
        libc.prctl(_DROP_BOUND, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if (number := _CAPSET.get(os.uname().machine)) and libc.syscall(number, header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _module(path: str) -> types.ModuleType:
    """Load a file of this folder by its path: of the package around it, nothing is loaded here."""
    module = types.ModuleType(os.path.basename(path))
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    main()
