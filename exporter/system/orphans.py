"""Ends processes that left their tool's group, with the run that they come from.

A daemon that a tool starts moves to a session of its own, out of reach of a signal to the tool's group. As a
child subreaper the exporter becomes its parent once the tool's own processes are gone. Which run it comes
from, a mark in its environment says.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from msgspec import Struct, field

log = logging.getLogger(__name__)

MARK = "GRID_EXPORTER_RUN"
GRACE = 1.0  # seconds that the exporter's end waits for killed processes
_PR_SET_CHILD_SUBREAPER = 36
_READ_LIMIT = 1024 * 1024
_TASKS = Path("/proc/self/task")


class Run(Struct, eq=False):
    """One run of a tool. process: None until it is started."""

    mark: str
    process: Process | None = None

    def started(self, starting: asyncio.Task[Process]) -> None:
        """Takes the process from the task that started it."""
        if not starting.cancelled() and starting.exception() is None:
            self.process = starting.result()
            if self not in _state.runs:  # it was abandoned
                _state.tools.add(self.process)


class _State(Struct):
    """What this process knows of its children.

    adopts: whether it is a child subreaper; else orphans go to another, and nothing here does anything.
    tools: the abandoned processes that asyncio still waits for.
    killed: orphans that were killed and are not gone yet. unkillable: those of other users.
    """

    adopts: bool = False
    runs: set[Run] = field(default_factory=set)
    tools: set[Process] = field(default_factory=set)
    killed: set[int] = field(default_factory=set)
    unkillable: set[int] = field(default_factory=set)


_state = _State()
_numbers = itertools.count(1)


def adopt() -> None:
    """Makes this process the parent of its descendants' orphans, where the kernel allows it."""
    libc = ctypes.CDLL(None, use_errno=True)
    _state.adopts = libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def unkillable() -> int:
    """The number of processes that tools left behind and that can't be ended: another user's."""
    return len(_state.unkillable)


@contextlib.asynccontextmanager
async def ended_with_run() -> AsyncIterator[Run]:
    """A run of a tool, at whose end what it left behind is killed, and awaited until it is gone.

    A cancellation while it is awaited abandons it.
    """
    run = Run(f"{os.getpid()}.{next(_numbers)}")
    _state.runs.add(run)
    try:
        yield run
    finally:
        _state.runs.discard(run)
        if run.process and run.process.returncode is None:
            _state.tools.add(run.process)
        while pidfds := _kill_orphans():
            await _gone(pidfds)


async def end_all() -> None:
    """Ends every process that is left, for the exporter's own end."""
    _state.tools |= {run.process for run in _state.runs if run.process}
    _state.runs.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while pidfds := _kill_orphans():
                await _gone(pidfds)


def _kill_orphans() -> list[int]:
    """Kills orphans whose run is over, and reaps dead ones.

    Returns descriptors of those that were killed now. None is returned twice: one that does not die keeps one
    run waiting, not each.
    """
    if not _state.adopts:
        return []
    children, newly = _children(), []
    _state.killed &= children
    _state.unkillable &= children
    for pid in _ownerless(children):
        if _reaped(pid):
            _state.killed.discard(pid)
            _state.unkillable.discard(pid)
        elif _kill(pid):
            _state.unkillable.discard(pid)
            if pid not in _state.killed:
                with contextlib.suppress(OSError):  # no descriptor is left: it is reaped later
                    newly.append(os.pidfd_open(pid))
            _state.killed.add(pid)
        elif pid not in _state.unkillable:
            _state.unkillable.add(pid)
            name = _read(Path(f"/proc/{pid}/comm")).decode("utf-8", "backslashreplace").strip()
            log.warning("a tool left process %d (%s) of another user behind, which can't be ended", pid, name)
    return newly


def _ownerless(children: set[int]) -> Iterator[int]:
    """The orphans of no run in flight.

    One without a mark may be of any run, or a tool that is just being started.
    """
    _state.tools = {tool for tool in _state.tools if tool.returncode is None}
    tools = {tool.pid for tool in _state.tools} | {run.process.pid for run in _state.runs if run.process}
    starting = any(run.process is None for run in _state.runs)
    marks = {run.mark for run in _state.runs}
    for pid in children - tools:
        mark = _mark_of(pid)
        if not (mark in marks or (mark is None and (starting or (marks and not _is_dead(pid))))):
            yield pid


def _children() -> set[int]:
    """The pids of this process's children. A list may lack one while others end: it is read twice."""
    lists = (_read(task / "children") for _ in range(2) for task in _TASKS.iterdir())
    return {int(pid) for pids in lists for pid in pids.split()}


def _mark_of(pid: int) -> str | None:
    """The mark of this exporter's run that a process comes from; None where it has none, or is dead."""
    for variable in _read(Path(f"/proc/{pid}/environ")).split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == MARK.encode() and value.startswith(f"{os.getpid()}.".encode()):
            return value.decode("ascii", "replace")
    return None


def _is_dead(pid: int) -> bool:
    """Whether it is a zombie. Its name, in parentheses, may hold anything."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].startswith(b" Z")


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _kill(pid: int) -> bool:
    """Kills a child; False where that is not allowed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    return True


async def _gone(pidfds: list[int]) -> None:
    """Waits until killed children are gone, reaps them, and closes their descriptors."""
    loop = asyncio.get_running_loop()
    try:
        for fd in pidfds:
            gone = asyncio.Event()
            loop.add_reader(fd, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(fd)
            _reap(fd)
    finally:
        for fd in pidfds:
            os.close(fd)


def _reap(pidfd: int) -> None:
    with contextlib.suppress(ChildProcessError):  # another run's end has done so
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_READ_LIMIT)
    except OSError:  # it has ended, or is another user's
        return b""
