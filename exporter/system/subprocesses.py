"""Runs the box's tools: the one place that starts a process.

A run ends with its process, not with its pipes, since a grandchild may hold those for ever. Both are watched
here, for asyncio waits for the pipes too; and where it is cancelled while a process starts, it leaves behind
the children that it has by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from exporter.probe import ProbeError

CHUNK = 64 * 1024
STDOUT_LIMIT = 4 * 1024 * 1024
STDERR_LIMIT = 64 * 1024
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # the exit status of a program that was to become another

# Where set, every finished process of this context is noted: `grid-exporter probe NAME` shows what ran.
trace: contextvars.ContextVar[list[Output] | None] = contextvars.ContextVar("trace", default=None)


@dataclass(frozen=True, slots=True)
class Output:
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
    def complaint(self) -> str:
        """The last line that the tool wrote on standard error, or how it ended: the reason of a failure."""
        lines = self.stderr.decode("utf-8", "backslashreplace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if self.code < 0 and said:
            said = f"{self.ending}: {said}"
        return said[:300] or self.ending

    @property
    def ending(self) -> str:
        """How the process ended, without a word of its own."""
        return _signal_name(-self.code) if self.code < 0 else f"exit status {self.code}"


def _signal_name(number: int) -> str:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


@dataclass(slots=True)
class _Pipe:
    """The reading end of a process's output: keeps up to ``limit`` bytes and throws the rest away.

    flooded: called when there was more, again and again while it comes.
    """

    limit: int
    flooded: Callable[[], None] = lambda: None
    full: bool = False
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
            self.full = True
            self.flooded()
        return bool(data)

    def drain(self) -> None:
        """Takes all that came before the process ended. A grandchild's writing can't make it endless."""
        while not self.full and self.read():
            pass


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The little that a tool gets: where programs lie, a home, plain messages; no secret."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_RUNTIME_DIR") if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C", **extra}


def find(program: str) -> str:
    """The program's path, as a shell would find it.

    Raises:
        ProbeError: it is not there or may not be executed.
    """
    if found := shutil.which(program):
        return found
    if there := shutil.which(program, os.F_OK):
        raise _not_executable(there)
    raise _not_installed(program)


def _not_executable(program: str) -> ProbeError:
    return ProbeError(f"{program} may not be executed", f"chmod +x {shlex.quote(program)}")


def _not_installed(program: str) -> ProbeError:
    return ProbeError(f"{program} is not installed", f"install {program}, or see that it is on PATH")


async def run(
    *argv: str, env: Mapping[str, str] | None = None, limit: int = STDOUT_LIMIT, anywhere: bool = False
) -> Output:
    """Runs a tool to its end, in a session of its own; the exit status is the caller's to judge.

    When cancelled it kills the tool's whole process group and then waits, for as long as it takes, until the
    process is gone: one that can't be killed must keep the next run away. A second cancellation abandons it.

    Args:
        argv: the program and its arguments; no shell is involved.
        env: what it needs beyond the minimal environment.
        limit: how many bytes of standard output may come; the rest of standard error is thrown away.
        anywhere: the program may lie on a file system that doesn't answer: another one then becomes it, since
            merely to look for it could hang.

    Raises:
        ProbeError: it is not installed, could not be started, or printed more than ``limit``.
    """
    command = ("nice", "-n", "0", *argv) if anywhere else argv
    program = find(command[0])
    started = time.monotonic()
    out, err = _Pipe(limit), _Pipe(STDERR_LIMIT)
    try:
        with out.open() as out_end, err.open() as err_end:
            process = subprocess.Popen(  # noqa: ASYNC220 - it returns once the program runs, as asyncio's does
                command, executable=program,
                stdin=subprocess.DEVNULL, stdout=out_end, stderr=err_end,
                env=environment(env or {}), cwd="/", start_new_session=True,
            )  # fmt: skip
            out.flooded = partial(_kill_group, process.pid)
            await _ended(process)
            seconds = time.monotonic() - started
            out.drain()
            err.drain()
    except OSError as error:
        raise ProbeError(f"{argv[0]} could not be started: {error.strerror}") from error
    if out.full:
        raise ProbeError(f"{argv[0]} printed more than {out.limit // 1024} KiB")
    output = Output(argv, process.returncode, bytes(out.kept), bytes(err.kept), seconds)
    if anywhere:
        _see_that_it_started(output)
    ran = trace.get()
    if ran is not None:
        ran.append(output)
    return output


def _see_that_it_started(output: Output) -> None:
    program, failed = output.argv[0], output.stderr.startswith(b"nice: ")
    if failed and output.code == NOT_FOUND:
        raise _not_installed(program)
    if failed and output.code == NOT_EXECUTABLE:
        raise _not_executable(program)


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Waits until the process is gone and leaves nothing of its group behind, whatever happens meanwhile.

    The group is killed before the process is reaped: until then nobody else can have its number.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        watch = os.pidfd_open(process.pid)
    except OSError:  # no descriptor is left for it
        _kill_group(process.pid)
        raise
    loop.add_reader(watch, gone.set)
    try:
        try:
            await gone.wait()
        finally:
            _kill_group(process.pid)
            await gone.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)
        process.poll()


def _kill_group(pid: int) -> None:
    """Kills every process of the group that ``pid`` leads; where none is left there is nothing to hit."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
