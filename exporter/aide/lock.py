"""One command at a time; of one that was killed, the next records that it failed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from exporter.aide.files import Paths
from exporter.aide.summary import START, Moment, Outcome, Summary, load, load_outcome, load_summary, save
from exporter.probe import ProbeError
from exporter.system import files

Command = Literal["check", "accept"]

_PROC = Path("/proc")


class Running(msgspec.Struct, frozen=True):
    """The running command. since: Unix time. ticks: when its process started, as in /proc/PID/stat."""

    command: Command
    since: Moment
    pid: int
    ticks: int


def load_running(paths: Paths) -> Running | None:
    """The mark of the running command, or of one that was killed; None where the last one has finished.

    Raises as `load`.
    """
    return load(paths.running, Running)


def alive(running: Running, proc: Path = _PROC) -> bool:
    """Whether the process that wrote this still runs. Its number alone could be another's by now."""
    return _ticks(proc / str(running.pid)) == running.ticks


def _ticks(process: Path) -> int | None:
    """When a process started, in clock ticks since the boot (/proc/PID/stat, field 22); None for none."""
    try:
        state, *fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
        return None if state in {b"Z", b"X"} else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None


def killed_check(running: Running, left: Summary | None) -> Summary:
    """The summary of a check that was killed: its own where it wrote one, else that of a failed check.

    A power cut may bring its mark back after it wrote its summary, never the other way round.
    """
    if left and left.started >= running.since:
        return left
    reason = "the check was killed before it ended"
    return Summary(success=False, started=running.since, ended=running.since, reason=reason, hint=START)


def killed_accept(running: Running, left: Outcome | None) -> Outcome:
    """The outcome of an accept that was killed, likewise. Whichever database is in place is whole."""
    if left and left.timestamp >= running.since:
        return left
    return Outcome(success=False, timestamp=running.since, reason="it was killed before it ended")


@contextlib.contextmanager
def exclusive(paths: Paths, command: Command, *, wait: bool = False) -> Iterator[None]:
    """Holds the lock, after recording the failure of a command that was killed.

    The mark of the running command stays where it ends by an exception: then it left no result.

    Raises:
        ProbeError: another command is running (and is not to be waited for), or the directory cannot be used.
    """
    lock = _lock(paths, wait=wait)
    try:
        _record_killed(paths)
        me = Running(command, time.time(), os.getpid(), _ticks(_PROC / "self") or 0)
        files.write(paths.running, msgspec.json.encode(me))
        yield
        paths.running.unlink()
    finally:
        os.close(lock)


def _lock(paths: Paths, *, wait: bool) -> int:
    """The lock's descriptor; closing it releases the lock, as every end of the process does."""
    try:
        paths.state.mkdir(mode=0o750, parents=True, exist_ok=True)
        paths.private.mkdir(mode=0o700, exist_ok=True)
        for path, forbidden in ((paths.state, 0o022), (paths.private, 0o077)):
            _refuse_shared(path, forbidden)
        fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE)
    except OSError as error:
        raise ProbeError(f"{error.filename}: {error.strerror}", "run it as root") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        os.close(fd)
        raise ProbeError("a check or an accept is under way", "wait until it has ended") from error
    return fd


def _refuse_shared(path: Path, forbidden: int) -> None:
    """Whoever else could write here could have a database accepted; only root may read the private part."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & forbidden:
        hint = f"sudo chown root {path} && sudo chmod {0o777 & ~forbidden:o} {path}"
        raise ProbeError(f"{path} is open to someone else", hint)


def _record_killed(paths: Paths) -> None:
    """Records that a command was killed: it is marked as running although we hold the lock."""
    with contextlib.suppress(ValueError):
        left = load_running(paths)
        if left and left.command == "check":
            save(paths.summary, killed_check(left, load_summary(paths.summary)))
        elif left:
            save(paths.outcome, killed_accept(left, load_outcome(paths.outcome)))
