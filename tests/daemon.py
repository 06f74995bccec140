"""The exporter as a process of its own, as its users run it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TIMEOUT = 100.0  # seconds that anything here may take on a busy machine


def free_port() -> int:
    """A TCP port that nobody listens on just now, and that no client's connection is given meanwhile.

    Those come from 32768 upwards, if nobody has changed it.
    """
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(20_000, 32_768)))  # noqa: S311 - not for secrets
            return int(probe.getsockname()[1])


def command_line(*arguments: object) -> list[str]:
    """How to run grid-exporter from this checkout."""
    return [sys.executable, "-m", "exporter", *map(str, arguments)]


def run(*arguments: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs grid-exporter to its end and returns what it printed."""
    return subprocess.run(
        command_line(*arguments), cwd=PROJECT, env={**os.environ, **(env or {})}, timeout=TIMEOUT * 2,
        capture_output=True, text=True, check=False, errors="surrogateescape",
    )  # fmt: skip


@dataclass
class Daemon:
    """A running exporter. log: the file with everything that it prints. tls: how to speak to one with TLS."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    tls: ssl.SSLContext | None = None

    def get(self, path: str = "/metrics", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """A request's status and text."""
        scheme = "https" if self.tls else "http"
        url = f"{scheme}://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self.tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_ready(self) -> None:
        """Waits until /-/ready says so; fails with the log where the exporter ends instead."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if self.get("/-/ready")[0] == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"the exporter did not get ready:\n{self.log.read_text()}")

    def wait_logged(self, text: str) -> None:
        """Waits until the log says this."""
        end = time.monotonic() + TIMEOUT
        while text not in self.log.read_text():
            assert time.monotonic() < end, f"{text!r} is not in the log:\n{self.log.read_text()}"
            time.sleep(0.02)

    def children(self) -> list[int]:
        """The process ids of its children."""
        return [
            int(pid)
            for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def stop(self) -> int:
        """Ends it as a service manager does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)


@contextlib.contextmanager
def daemon(
    tmp_path: Path,
    config: str | None = None,
    *flags: object,
    env: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[Daemon]:
    """Starts an exporter, waits until it is ready, and ends it by pid whatever happens.

    through: a command that becomes the exporter, such as ``prlimit --nofile=64``. tls: as Daemon has it.
    """
    port, log = free_port(), tmp_path / "exporter.log"
    arguments: list[object] = ["--web.listen-address", f"127.0.0.1:{port}", *flags]
    if config is not None:
        (tmp_path / "config.yml").write_text(config)
        arguments += ["--config.file", tmp_path / "config.yml"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*through, *command_line(*arguments)],
            cwd=PROJECT,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=output,
        )
    running = Daemon(process, port, log, tls)
    try:
        running.wait_ready()
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
