"""Death is proven by two witnesses, the lock and the process table; each alone can veto it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentkit.budgets.owner import OwnerLock, is_dead, started

GONE = "12345"  # a start time that no process with this pid has


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_held_lock_means_life_whatever_the_process_table_says(database: Path) -> None:
    lock = OwnerLock(database)
    assert not is_dead(database, lock.id, lock.pid, GONE)
    assert not is_dead(database, lock.id, lock.pid, "")
    lock.close()


def test_a_free_lock_means_death_unless_the_process_still_runs(database: Path) -> None:
    lock_file = database.with_name(f"{database.name}.owner-x")
    lock_file.touch()
    assert is_dead(database, "x", os.getpid(), GONE) and is_dead(database, "x", os.getpid(), "")
    assert not is_dead(database, "x", os.getpid(), started(os.getpid()))


def test_a_missing_lock_file_proves_nothing_by_itself(database: Path) -> None:
    assert not is_dead(database, "x", os.getpid(), "")
    assert not is_dead(database, "x", os.getpid(), started(os.getpid()))
    assert is_dead(database, "x", os.getpid(), GONE)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # Python 3.12
def test_a_zombie_has_ended() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert started(child) == ""
    os.waitpid(child, 0)
