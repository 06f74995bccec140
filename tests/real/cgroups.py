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


@contextlib.contextmanager
def group(controller: str) -> Iterator[Path]:
    """A new group of this controller; whatever is in it at the end is killed."""
    path = ROOT / controller / f"grid-exporter-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made for {controller}: {error.strerror}")
    try:
        yield path
    finally:
        if controller == "freezer":
            _put(path / "freezer.state", "THAWED")
        _empty(path)


def enter(path: Path, pid: int) -> None:
    """Puts a process into a group."""
    _put(path / "cgroup.procs", str(pid))


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Makes a process that nothing can end, not even SIGKILL, as a dead driver or NFS server does."""
    with group("freezer") as path:
        enter(path, pid)
        _put(path / "freezer.state", "FROZEN")
        until((path / "freezer.state"), "FROZEN")
        yield


def until(path: Path, text: str) -> None:
    """Waits until a file of a group says so."""
    end = time.monotonic() + 10
    while path.read_text().strip() != text:
        assert time.monotonic() < end, path.read_text()
        time.sleep(0.01)


def _put(path: Path, text: str) -> None:
    path.write_text(text)


def _empty(path: Path) -> None:
    end = time.monotonic() + 10
    while members := (path / "cgroup.procs").read_text().split():
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        assert time.monotonic() < end, members
        time.sleep(0.01)
    path.rmdir()
