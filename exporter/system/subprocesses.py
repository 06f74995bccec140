"""Runs the host's tools: the one place that starts a process.

A run ends with its process, not with its pipes, since a grandchild may hold those for ever. asyncio waits for
the end of pipes that it made itself, so these are ours: the child gets their writing ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import shlex
import shutil
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from exporter.probe import ProbeError
from exporter.system import orphans

CHUNK = 64 * 1024
STDOUT_LIMIT = 4 * 1024 * 1024
STDERR_LIMIT = 64 * 1024
MESSAGE_LIMIT = 4096  # bytes at its end, in which the last line is looked for
if sys.version_info < (3, 12):  # where asyncio would start a thread for each process, to wait for it
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())

# Where tools lie that a service's PATH leaves out: of WSL, CUDA, snaps, NixOS, and what came by itself.
OUTSIDE_PATH = (
    "usr/lib/wsl/lib", "usr/local/cuda/bin", "usr/local/nvidia/bin", "snap/bin", "run/current-system/sw/bin",
    "opt/bin", "opt/*/bin",
)  # fmt: skip
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # the exit status of a program that was to become another

# Where set, every finished process of this context is recorded: `grid-exporter probe NAME` shows what ran.
trace: contextvars.ContextVar[list[Output] | None] = contextvars.ContextVar("trace", default=None)


class Output(Struct, frozen=True):
    """What a finished process left. ``code`` is its exit status, negative for the signal that ended it."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 survive as surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def error_message(self) -> str:
        """The last line of the tool's standard error, or how it ended: the reason of a failure."""
        lines = self.stderr[-MESSAGE_LIMIT:].decode("utf-8", "backslashreplace").split("\n")
        message = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if self.code < 0 and message:
            message = f"{self.ending}: {message}"
        return message[:300] or self.ending

    @property
    def ending(self) -> str:
        """How the process ended: its exit status or signal."""
        return _signal_name(-self.code) if self.code < 0 else f"exit status {self.code}"


def _signal_name(number: int) -> str:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


class _Pipe(Struct):
    """The reading end of a process's output: keeps up to ``limit`` bytes and throws the rest away.

    on_overflow: called when there was more, again and again while it comes.
    """

    limit: int
    on_overflow: Callable[[], None] = lambda: None
    truncated: bool = False
    kept: bytearray = field(default_factory=bytearray)
    fd: int = -1

    @contextlib.contextmanager
    def open(self) -> Iterator[int]:
        """Gives the writing end for the child; both ends are closed in the end, whoever else holds one."""
        self.fd, writer = os.pipe2(os.O_CLOEXEC)
        loop = asyncio.get_running_loop()
        try:
            os.set_blocking(self.fd, False)
            loop.add_reader(self.fd, self.read)
            yield writer
        finally:
            # The writing end closes last: it keeps the reader from seeing a false end while the child starts.
            loop.remove_reader(self.fd)
            os.close(self.fd)
            os.close(writer)

    def read(self) -> bool:
        """Takes what is there now. False when there was nothing."""
        try:
            data = os.read(self.fd, CHUNK)
            room = self.limit - len(self.kept)
            self.kept += data[:room]
            over = len(data) > room
        except BlockingIOError:
            return False
        except MemoryError:  # so much was too much already
            self.limit, data, over = len(self.kept), b"lost", True
        if over:
            self.truncated = True
            self.on_overflow()
        return bool(data)

    def drain(self) -> None:
        """Takes all that came before the process ended. A grandchild's writing can't make it endless."""
        while not self.truncated and self.read():
            pass


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The little that a tool gets: where programs lie, a home, plain messages; no secret."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_RUNTIME_DIR") if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C", **extra}


_worked: dict[tuple[str, str | None, Path], str] = {}  # where programs were found, by name, PATH and root


def find(program: str, root: Path = Path("/")) -> str:
    """The program's path, as a shell would find it, else in one of OUTSIDE_PATH under ``root``.

    It is searched for again only when it is no longer there or its last run failed: another may have come.

    Raises:
        ProbeError: it is not there or may not be executed.
    """
    known = _worked.get((program, os.environ.get("PATH"), root), "")
    if path := shutil.which(known) or shutil.which(program) or _outside_path(program, root):
        return path
    if path := shutil.which(program, os.F_OK):
        raise _not_executable(path)
    raise _not_installed(program)


def _outside_path(program: str, root: Path) -> str | None:
    if os.sep in program:
        return None
    places = (str(place) for pattern in OUTSIDE_PATH for place in sorted(root.glob(pattern)))
    return shutil.which(program, path=os.pathsep.join(places))


def _remember(program: str, path: str, *, worked: bool) -> None:
    key = program, os.environ.get("PATH"), Path("/")
    if worked:
        _worked[key] = path
    else:
        _worked.pop(key, None)


def _not_executable(program: str) -> ProbeError:
    return ProbeError(f"{program} may not be executed", f"chmod +x {shlex.quote(program)}")


def _not_installed(program: str) -> ProbeError:
    return ProbeError(f"{program} is not installed", f"install {program}, or see that it is on PATH")


async def run(
    *argv: str, env: Mapping[str, str] | None = None, limit: int = STDOUT_LIMIT, via_launcher: bool = False
) -> Output:
    """Runs a tool to its end, in a session of its own; the exit status is the caller's to judge.

    When cancelled it kills the tool's whole process group and then waits, for as long as it takes, until the
    process is gone: one that can't be killed must keep the next run away. A second cancellation abandons it.

    Args:
        argv: the program and its arguments; no shell is involved.
        env: what it needs beyond the minimal environment.
        limit: how many bytes of standard output may come; the rest of standard error is thrown away.
        via_launcher: the program may lie on a file system that doesn't answer: another one then becomes it,
            since merely to search for it could hang.

    Raises:
        ProbeError: it is not installed, could not be started, or printed more than ``limit``.
    """
    command = ("nice", "-n", "0", *argv) if via_launcher else argv
    program = find(command[0])
    started = time.monotonic()
    out, err = _Pipe(limit), _Pipe(STDERR_LIMIT)
    try:
        async with orphans.ended_with_run() as its_run:
            with out.open() as out_end, err.open() as err_end:
                starting = asyncio.create_task(
                    asyncio.create_subprocess_exec(
                        *command, executable=program,
                        stdin=asyncio.subprocess.DEVNULL, stdout=out_end, stderr=err_end,
                        env=environment({**(env or {}), orphans.MARK: its_run.mark}),
                        cwd="/", start_new_session=True,
                    )
                )  # fmt: skip
                starting.add_done_callback(its_run.started)
                out.on_overflow = partial(_kill_started, starting)
                code = await _wait_for_end(starting)
                seconds = time.monotonic() - started
                out.drain()
                err.drain()
    except OSError as error:
        raise ProbeError(f"{argv[0]} could not be started: {error.strerror}") from error
    if out.truncated:
        raise ProbeError(f"{argv[0]} printed more than {out.limit // 1024} KiB")
    _remember(command[0], program, worked=code == 0)
    output = Output(argv, code, bytes(out.kept), bytes(err.kept), seconds)
    if via_launcher:
        _raise_if_not_launched(output)
    ran = trace.get()
    if ran is not None:
        ran.append(output)
    return output


def _raise_if_not_launched(output: Output) -> None:
    program, failed = output.argv[0], output.stderr.startswith(b"nice: ")
    if failed and output.code == NOT_FOUND:
        raise _not_installed(program)
    if failed and output.code == NOT_EXECUTABLE:
        raise _not_executable(program)


async def _wait_for_end(starting: asyncio.Task[Process]) -> int:
    """The exit status of the process that is being started; nothing of its group is left, whatever happens.

    asyncio, cancelled while it starts a process, would kill that process alone and leave the children that it
    has by then. So the start is never cancelled: it is waited for, and the group killed.
    """
    try:
        await asyncio.wait({starting})
        return await starting.result().wait()
    except asyncio.CancelledError:
        starting.add_done_callback(_kill_started)
        await asyncio.wait({starting})
        if starting.exception() is None:
            await starting.result().wait()
        raise
    finally:
        # The process may be reaped by now. Its number is given to no other while its group has members.
        _kill_started(starting)


def _kill_started(starting: asyncio.Task[Process]) -> None:
    """Kills every process of the started one's group; where none is left there is nothing to hit."""
    if not starting.done() or starting.cancelled() or starting.exception() is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(starting.result().pid, signal.SIGKILL)
