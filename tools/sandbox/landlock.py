"""Landlock: the kernel lets this process, and whatever it starts, reach only the folders it named (Linux 5.13 on).

Written against the kernel's own description (docs.kernel.org/userspace-api/landlock.html); no library is needed,
and no rights either. Standard library only: the launcher loads this file by its path.
"""

import ctypes
import os

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_EXECUTE = 1 << 0
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""Execute, write, read, truncate, device control: all that can be asked for a path that is no folder."""
_NO_NEW_PRIVILEGES = 38


def version() -> int:
    """Return the version of the interface, 0 where there is none. From 4 on it covers TCP, from 6 on signals."""
    try:
        return max(0, int(ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)))
    except (AttributeError, OSError):  # no such library or function: not Linux
        return 0


def restrict(readable: list[str], writable: list[str]) -> None:
    """Let this process read below `readable` and do all but execute below `writable`; OSError if it cannot be."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = version()
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(found, 16)) - 1
    numbers = [rights, 0b11 if found >= 4 else 0, 0b11 if found >= 6 else 0]
    size = 8 if found < 4 else 16 if found < 6 else 24
    ruleset = libc.syscall(_CREATE, (ctypes.c_uint64 * 3)(*numbers), ctypes.c_size_t(size), 0)
    _check(ruleset)
    try:
        for path in readable:
            _allow(libc, ruleset, path, (_READ_FILE | _READ_FOLDER) & rights)
        for path in writable:
            _allow(libc, ruleset, path, rights & ~_EXECUTE)
        _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _check(libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = _PathBeneath(rights, handle)
        _check(libc.syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(handle)


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
