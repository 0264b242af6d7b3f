"""Who holds what in a shared file: a process proves that it lives, so that its death can be proven."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "9p", "fuse.sshfs"})


class OwnerLock:
    """The lock file of one opening of a ledger; the kernel drops the lock when the process ends.

    The lock is taken before the owner writes its first row, so a row whose lock is free is of a dead owner.
    """

    def __init__(self, database: Path) -> None:
        self.id = secrets.token_hex(8)
        self.pid = os.getpid()
        self.started = started(self.pid)
        self._path = _lock_path(database, self.id)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Give up the lock; call it only after the owner's row is gone."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def is_dead(database: Path, owner: str, pid: int, start: str) -> bool:
    """Tell whether the death of an owner is proven: its lock is free and no such process runs.

    The second condition guards against a lock file that somebody deleted; without /proc a lock file that is
    missing proves nothing.
    """
    if start and started(pid) == start:
        return False
    try:
        file = os.open(_lock_path(database, owner), os.O_RDWR)
    except FileNotFoundError:
        return bool(start)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def bury(database: Path, owner: str) -> None:
    """Remove the lock file of a dead owner whose rows are gone."""
    _lock_path(database, owner).unlink(missing_ok=True)


def started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty when it has ended or without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name of the program, in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # a zombie runs no more


def on_network(path: Path) -> bool:
    """Tell whether a file is on a network file system."""
    return file_system(path) in _NETWORK


def file_system(path: Path) -> str:
    """Return the type of the file system that `path` is on, empty where it cannot be known."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    real, longest, kind = path.resolve(), -1, ""
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if real.is_relative_to(point) and len(point.parts) >= longest:  # a later mount hides an earlier one
            longest, kind = len(point.parts), after.split()[0]
    return kind


def _lock_path(database: Path, owner: str) -> Path:
    return database.with_name(f"{database.name}.owner-{owner}")
