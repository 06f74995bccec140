"""Control groups of version 1 for tests: a process that can't be killed, and one that may start no other."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
TIMEOUT = 20.0


@contextlib.contextmanager
def group(controller: str) -> Iterator[Path]:
    """A new group of this controller; at the end whatever is in it goes back to where all others are."""
    path = ROOT / controller / f"grid-exporter-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made for {controller}: {error.strerror}")
    try:
        yield path
    finally:
        _empty(path)


def enter(path: Path, pid: int) -> None:
    """Puts a process into a group."""
    (path / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Makes a process that nothing can end, not even SIGKILL, as a dead driver or NFS server does."""
    with group("freezer") as path:
        enter(path, pid)
        _turn(path, "FROZEN")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            _turn(path, "THAWED")


def _turn(path: Path, state: str) -> None:
    (path / "freezer.state").write_text(state)
    end = time.monotonic() + TIMEOUT
    while (path / "freezer.state").read_text().strip() != state:
        assert time.monotonic() < end, state
        time.sleep(0.01)


def _empty(path: Path) -> None:
    end = time.monotonic() + TIMEOUT
    while members := (path / "cgroup.procs").read_text().split():
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                enter(path.parent, int(pid))
        assert time.monotonic() < end, members
        time.sleep(0.01)
    path.rmdir()
