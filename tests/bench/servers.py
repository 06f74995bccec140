"""The servers that are compared, each a process of its own on loopback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.box.box import FakeBox
from tests.daemon import PROJECT, TIMEOUT, command_line, free_port

# Of the clocks that the kernel keeps for a process, the one that its scheduler counts by (CPUCLOCK_SCHED).
_CPU_CLOCK = 2
# node_exporter's own limit of 40 scrapes at a time would answer the others with an error.
NODE_EXPORTER = ("prometheus-node-exporter", "--web.max-requests=0", "--log.level=error")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. url: of its values."""

    url: str
    pid: int

    def get(self, encoding: str = "identity") -> bytes:
        """A body as it comes, compressed or not.

        Raises:
            AssertionError: it isn't encoded as it was asked for.
        """
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": encoding})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            if answer.headers.get("Content-Encoding", "identity") != encoding:
                raise AssertionError(f"{self.url} answers {encoding} with {answer.headers}")
            return bytes(answer.read())

    def cpu(self) -> float:
        """Processor time that it used so far, its ended threads' too and its children's not; seconds."""
        return time.clock_gettime(_CPU_CLOCK | ~self.pid << 3)

    def tools_cpu(self) -> float:
        """Processor time of the processes that it started and that have ended, in seconds; to a tick."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Its resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def exporter(box: FakeBox) -> contextlib.AbstractContextManager[Server]:
    """The exporter, on a fake box."""
    port = free_port()
    return started(exporter_command(box, port), port, box.environment)


def exporter_command(box: FakeBox, port: int) -> Sequence[str]:
    """How to run the exporter on a fake box."""
    return command_line(*box.flags, "--log.level=error", f"--web.listen-address=127.0.0.1:{port}")


def node_exporter() -> contextlib.AbstractContextManager[Server]:
    """The real node_exporter with what it collects by default."""
    port = free_port()
    return started([*NODE_EXPORTER, f"--web.listen-address=127.0.0.1:{port}"], port)


def beside(
    module: str, *arguments: object, env: Mapping[str, str] | None = None
) -> contextlib.AbstractContextManager[Server]:
    """One of the servers that lie beside this file."""
    port = free_port()
    return started(
        [sys.executable, "-m", f"tests.bench.{module}", str(port), *map(str, arguments)], port, env
    )


@contextlib.contextmanager
def started(argv: Sequence[str], port: int, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Starts a server, waits for its first answer, which is left out of all that follows, and ends it."""
    with launched(argv, env) as process:
        server = Server(f"http://127.0.0.1:{port}/metrics", process.pid)
        wait_for(process, server)
        yield server


@contextlib.contextmanager
def launched(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended by its pid whatever happens.

    Raises:
        AssertionError: it ended by itself, and badly.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            argv, cwd=PROJECT, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            yield process
        finally:
            ended = process.poll()
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if ended:
                errors.seek(0)
                raise AssertionError(f"{argv} ended: {errors.read().decode()[-2000:]}")


def wait_for(process: subprocess.Popen[bytes], server: Server) -> bytes:
    """The first answer, asked for again until the server listens.

    Raises:
        AssertionError: it never does.
    """
    end = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            return server.get()
        time.sleep(0.002)
    raise AssertionError(f"{process.args!r} does not answer")
