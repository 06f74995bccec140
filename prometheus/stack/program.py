"""A program of the stack: a process that listens on loopback, started when needed and ended for certain."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_TIMEOUT = 60.0  # seconds until a program must be ready; Grafana makes its database first
GRACE = 15.0  # seconds that it has to end


class StackError(Exception):
    """A program is missing or does not start. Its text is for a person."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs. address: ``host:port``. log: the file with all of its output."""

    name: str
    process: subprocess.Popen[bytes]
    address: str
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address}"

    def check(self) -> None:
        """Sees that it still runs.

        Raises:
            StackError: it has ended; with its last output.
        """
        if self.process.poll() is not None:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()[-5:]
            raise StackError("\n    ".join([f"{self.name} has ended:", *lines]))


def find(*names: str) -> str | None:
    """The first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


def address(preferred: int = 0) -> str:
    """An address on loopback where nobody listens: with the preferred port, or any where that is taken."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", preferred))
        except OSError:
            return address()
        host, port = trial.getsockname()
        return f"{host}:{port}"


@contextlib.contextmanager
def started(
    name: str,
    argv: Sequence[str],
    where: str,
    folder: Path,
    *,
    ready: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Runs a program, from its being ready until the end of the block.

    It is in a session of its own, so that Ctrl-C reaches it through us alone, in the right order.

    Args:
        name: what a person calls it.
        argv: its command line.
        where: the address that it listens at.
        folder: the directory to run in; its log is written there.
        ready: the path that answers 200 as soon as it is ready.
        env: what it needs beyond our environment.

    Raises:
        StackError: it ended, or was not ready in time.
    """
    log = folder / f"{name.lower()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=folder, env={**os.environ, **(env or {})}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    program = Program(name, process, where, log)
    try:
        _wait(program, ready)
        yield program
    finally:
        _end(process)


def _wait(program: Program, ready: str) -> None:
    end = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < end:
        program.check()
        with contextlib.suppress(OSError), urllib.request.urlopen(program.url + ready, timeout=5):  # noqa: S310 - http
            return
        time.sleep(0.05)
    raise StackError(f"{program.name} was not ready within {READY_TIMEOUT:g} s; it writes to {program.log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
