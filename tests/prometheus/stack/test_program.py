"""Programs are started, watched and ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from prometheus.stack import program
from prometheus.stack.program import StackError, address, find, started

SERVER = """
import http.server, signal, sys
{prelude}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(where: str, prelude: str = "") -> list[str]:
    return [sys.executable, "-c", SERVER.format(prelude=prelude), where.partition(":")[2]]


def test_a_program_runs_for_the_block(tmp_path: Path) -> None:
    """It is ready inside of it and gone after it."""
    where = address()
    with started("Server", server(where), where, tmp_path, ready="/") as running:
        running.check()
        assert running.url == f"http://{where}"
    assert running.process.returncode == -signal.SIGTERM


def test_a_program_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a grace it is ended by force."""
    monkeypatch.setattr(program, "GRACE", 0.2)
    where = address()
    deaf = server(where, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with started("Server", deaf, where, tmp_path, ready="/") as running:
        pass
    assert running.process.returncode == -signal.SIGKILL


def test_the_error_of_a_program_that_ends_at_once(tmp_path: Path) -> None:
    """The error holds the end of its output."""
    argv = [sys.executable, "-c", "import sys; sys.exit('no such file: prometheus.yml')"]
    with (
        pytest.raises(StackError, match=r"Server has ended:\n +no such file: prometheus\.yml"),
        started("Server", argv, address(), tmp_path, ready="/"),
    ):
        pass


def test_a_program_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the error says where its log is."""
    monkeypatch.setattr(program, "READY_TIMEOUT", 0.3)
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        pytest.raises(StackError, match=r"was not ready within 0\.3 s; it writes to .*server\.log"),
        started("Server", argv, address(), tmp_path, ready="/"),
    ):
        pass


def test_a_taken_port_is_passed_over() -> None:
    """The usual port where it is free, else any."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert address(port) != f"127.0.0.1:{port}"
    assert address(port) == f"127.0.0.1:{port}"


def test_the_first_name_that_is_installed_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian calls Alertmanager otherwise than its makers do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find("alertmanager", "prometheus-alertmanager") is None
    script = tmp_path / "prometheus-alertmanager"
    script.touch(mode=0o755)
    assert find("alertmanager", "prometheus-alertmanager") == os.fspath(script)
