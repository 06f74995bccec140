import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from exporter.web.listeners import ListenError, inherited, is_loopback, listen
from tests.daemon import PROJECT, command_line, daemon, free_port, run

HOST = "probes: {host: {}}\n"


class At:
    """A listening socket, as far as its address is concerned: no test opens a port to the world."""

    family = socket.AF_INET

    def __init__(self, host: str) -> None:
        self._host = host

    def getsockname(self) -> tuple[str, int]:
        """Where it listens."""
        return self._host, 10058


@pytest.mark.parametrize(
    "address",
    [
        *("10058", "localhost", "127.0.0.1:http", "127.0.0.1:70000", "", "127.0.0.1:", "127.0.0.1:-1"),
        *("127.0.0.1:²", "127.0.0.1:1_0", f"127.0.0.1:{'9' * 5000}"),
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """The error shows an example of an address."""
    with pytest.raises(ListenError, match="expected host:port such as"):
        listen([address])


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
def test_a_host_that_is_none_is_one_clear_line(host: str) -> None:
    """A name that no host can have is refused without asking for it."""
    with pytest.raises(ListenError, match=f"can't listen on .*{host}:1"):
        listen([f"{host}:1"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", ""])
def test_addresses_of_every_form_can_be_listened_on(host: str) -> None:
    """IPv4, IPv6 in brackets, a name, and nothing for every address."""
    listeners = listen([f"{host}:{free_port()}"])
    assert listeners
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False),  # noqa: S104
     ("192.168.1.2", False), ("::ffff:127.0.0.1", False)],
)  # fmt: skip
def test_loopback_is_known(host: str, local: bool) -> None:  # noqa: FBT001
    """What only this machine can reach, and what others can."""
    assert is_loopback(cast("socket.socket", At(host))) is local


def test_the_exporter_serves_at_every_address(tmp_path: Path) -> None:
    """The flag may be given several times; one that is taken is an error, whatever the others are."""
    other = free_port()
    with daemon(tmp_path, HOST, "--web.listen-address", f"127.0.0.1:{other}") as exporter:
        first, exporter.port = exporter.port, other
        assert exporter.get()[0] == 200
        exporter.port = first
        assert exporter.get()[0] == 200
        addresses = (f"--web.listen-address=127.0.0.1:{port}" for port in (free_port(), other))
        ended = run(*addresses)
        assert ended.returncode == 1
        assert f"can't listen on 127.0.0.1:{other}: Address already in use" in ended.stderr


def test_sockets_of_an_address_that_fails_are_closed() -> None:
    """Nothing is left behind that nobody serves."""
    good = free_port()
    with pytest.raises(ListenError):
        listen([f"127.0.0.1:{good}", "nowhere"])
    listen([f"127.0.0.1:{good}"])[0].close()


ACTIVATE = """\
import os, sys
os.dup2({descriptor}, 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, sys.argv[1:])
"""


def activated(listener: socket.socket, *arguments: object) -> "subprocess.Popen[str]":
    """The exporter, started with a socket as systemd does."""
    return subprocess.Popen(
        [sys.executable, "-c", ACTIVATE.format(descriptor=listener.fileno()), *command_line(*arguments)],
        cwd=PROJECT, pass_fds=[listener.fileno()], text=True,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_the_exporter_serves_on_systemds_socket(tmp_path: Path, family: socket.AddressFamily) -> None:
    """Whoever connected before it was started is answered, on TCP and in the file system."""
    (tmp_path / "config.yml").write_text(HOST)
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        listener.listen()
        client.connect(listener.getsockname())
        host = b"grid.example" if family == socket.AF_UNIX else b"localhost"
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")
        process = activated(listener, "--web.systemd-socket", "--config.file", tmp_path / "config.yml")
        try:
            client.settimeout(60)
            assert client.recv(12) == b"HTTP/1.0 200"
        finally:
            process.terminate()
            process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_socket_that_does_not_listen_is_refused() -> None:
    """As Accept=yes hands over connections, and ListenDatagram= datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        process = activated(datagrams, "--web.systemd-socket")
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "descriptor 3 does not listen; the unit needs ListenStream= and Accept=no" in error


def test_without_sockets_of_systemd_there_is_an_error() -> None:
    """Those meant for another process don't count."""
    for environment in ({}, {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1"}):
        with pytest.raises(ListenError, match="systemd hands over no socket"):
            inherited(environment)


def test_addresses_and_systemds_sockets_exclude_each_other() -> None:
    """Either systemd listens or the exporter does."""
    ended = run("--web.systemd-socket", "--web.listen-address", "127.0.0.1:0")
    assert (ended.returncode, ended.stderr) == (
        1,
        "grid-exporter: --web.systemd-socket and --web.listen-address exclude each other\n",
    )
