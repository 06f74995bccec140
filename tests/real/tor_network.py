"""A whole Tor network on loopback: a directory authority, a relay, exits, and a client such as users run.

Every exit asks a name server of its own, which gives the same address for every name: 127.0.0.10 the first
exit's, 127.0.0.11 the second's, and so on. So the address at which a page is reached shows the exit, and that
it was reached at all shows that the name was resolved behind Tor: nothing else on the machine knows it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.daemon import free_port

EXITS = 2
RELAYS = 4  # the authority, which is a relay too, a relay and the exits: a way of three without one exit
NO_CACHE = "DirCache 0"  # so that a client asks the authority, which knows what others don't yet
TIMEOUT = 300.0  # seconds until a network that does not come up is a failure; it takes about 10


def exit_address(number: int) -> str:
    """Where the names that this exit looks up are found."""
    return f"127.0.0.{10 + number}"


class NameServer(threading.Thread):
    """Gives ``address`` for every name, save those under ``.nowhere``, which don't exist."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Answers until an empty question comes."""
        with self._socket:
            while True:
                question, asker = self._socket.recvfrom(2048)
                if not question:
                    return
                self._socket.sendto(self._answer(question), asker)

    def stop(self) -> None:
        """Ends the thread."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.join()

    def _answer(self, question: bytes) -> bytes:
        """The question with its header turned into an answer's, and an A record where one was asked for."""
        end = question.index(b"\0", 12) + 5
        unknown = question[12 : end - 5].lower().endswith(b"\x07nowhere")
        found = question[end - 4 : end] == struct.pack(">HH", 1, 1) and not unknown
        header = question[:2] + struct.pack(">HHHHH", 0x8583 if unknown else 0x8580, 1, found, 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(self._address)
        return header + question[12:end] + (record if found else b"")


class TorNetwork:
    """The network's processes, and how to reach its client.

    base: a directory for all of it. page_port: where something listens at every exit's address.
    socks, control: the client's ports, ``host:port``. cookie: the file that opens the control port.
    """

    def __init__(self, base: Path, page_port: int) -> None:
        self._base = base
        self._page_port = page_port
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._names = [NameServer(exit_address(number)) for number in range(EXITS)]
        self._directory_port, *self._relay_ports, socks, control = free_ports(RELAYS + 3)
        self._authority = ""  # the line by which everybody knows the authority
        self.socks, self.control = f"127.0.0.1:{socks}", f"127.0.0.1:{control}"
        self.cookie = base / "cookie"

    @contextlib.contextmanager
    def running(self) -> Iterator[TorNetwork]:
        """The network, from its first request through Tor to the end of its last process."""
        for server in self._names:
            server.start()
        try:
            self._start_authority()
            self._start("relay", [*self._relay("relay", self._relay_ports[1]), "ExitRelay 0", NO_CACHE])
            self.start_exits()
            self._wait("consensus that names every relay", self._is_agreed)
            self.start_client()
            yield self
        finally:
            for name in list(self._processes):
                self._stop(name)
            for server in self._names:
                server.stop()

    def start_client(self) -> None:
        """Starts the client afresh and waits until it can be used."""
        shutil.rmtree(self._base / "client", ignore_errors=True)
        self.cookie.unlink(missing_ok=True)
        self._start("client", [
            f"SocksPort {self.socks}", f"SocksPort unix:{self._base}/socks",
            f"ControlPort {self.control}", f"ControlSocket {self._base}/control",
            "CookieAuthentication 1", f"CookieAuthFile {self.cookie}", "ClientOnly 1", "UseEntryGuards 0",
            "ConfluxEnabled 0",  # in so small a network a request may fail with a pair of ways that breaks up
        ])  # fmt: skip
        self.wait_until_open()

    def stop_client(self) -> None:
        """Stops Tor itself, as ``systemctl stop tor`` does."""
        self._stop("client")

    def wait_until_open(self) -> None:
        """Waits until every exit lets requests through."""
        self._wait("way through every exit", self._is_open)

    def start_exits(self) -> None:
        """Starts the exits. One that ran before is the same relay again, which the others know."""
        for number, port in enumerate(self._relay_ports[-EXITS:]):
            names = self._base / f"exit{number}.resolv.conf"
            names.write_text(f"nameserver 127.0.0.1:{self._names[number].port}\n")
            self._start(f"exit{number}", [
                *self._relay(f"exit{number}", port), "ExitRelay 1", NO_CACHE,
                "ExitPolicy accept *:*", "ExitPolicyRejectLocalInterfaces 0",
                "RefuseUnknownExits 0",  # or it would refuse until it has a consensus that names the others
                f"ServerDNSResolvConfFile {names}", "ServerDNSDetectHijacking 0",
                "ServerDNSAllowBrokenConfig 1", "ServerDNSTestAddresses",
            ])  # fmt: skip

    def stop_exit(self, number: int) -> None:
        """Takes an exit off the network, as a crash does."""
        self._stop(f"exit{number}")

    def use_exit(self, number: int | None) -> None:
        """Has the client use this exit and no other from now on, or any where there is no number."""
        host, _, port = self.control.partition(":")
        with socket.create_connection((host, int(port)), 5) as control, control.makefile("rwb") as talk:
            nodes = "" if number is None else f"exit{number}"
            cookie = self.cookie.read_bytes().hex()
            talk.write(f"AUTHENTICATE {cookie}\r\nSETCONF ExitNodes={nodes}\r\nQUIT\r\n".encode())
            talk.flush()
            assert talk.read().count(b"250 ") == 3

    def _start_authority(self) -> None:
        """Starts the authority, which votes as often as Tor allows: every 5 s at first, then every 10 s."""
        self._authority = self._make_authority()
        self._start("authority", [
            *self._relay("authority", self._relay_ports[0]), "ExitRelay 0",
            f"DirPort 127.0.0.1:{self._directory_port} IPv4Only",
            "AuthoritativeDirectory 1", "V3AuthoritativeDirectory 1", "V3AuthNIntervalsValid 20",
            "V3AuthVotingInterval 10", "V3AuthVoteDelay 2", "V3AuthDistDelay 2",
            "TestingV3AuthInitialVotingInterval 5", "TestingV3AuthInitialVoteDelay 2",
            "TestingV3AuthInitialDistDelay 2",
            "AuthDirTestReachability 0", "TestingDirAuthVoteGuard *",
        ])  # fmt: skip
        # A relay that comes before the authority listens would try again only much later.
        self._wait("directory", lambda: self._consensus() is not None)

    def _make_authority(self) -> str:
        """Makes the authority's keys, and the line that names it."""
        home = self._base / "authority"
        home.mkdir(0o700)
        keys = home / "keys"
        keys.mkdir(0o700)
        subprocess.run(
            ["tor-gencert", "--create-identity-key", "--passphrase-fd", "0"],
            cwd=keys, input=b"none\n", check=True, capture_output=True,
        )  # fmt: skip
        identity = re.search(
            r"^fingerprint (\w+)$", (keys / "authority_certificate").read_text(), re.MULTILINE
        )
        empty = self._base / "empty"
        empty.touch()
        output = subprocess.run(
            ["tor", "--defaults-torrc", empty, "-f", empty, "--quiet", "--list-fingerprint", "--ORPort", "1",
             "--DataDirectory", home, "--Nickname", "authority",
             "--DirAuthority", f"x 127.0.0.1:1 {'F' * 40}"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert identity
        return (
            f"DirAuthority authority orport={self._relay_ports[0]} v3ident={identity[1]} "
            f"127.0.0.1:{self._directory_port} {''.join(output.split()[1:])}"
        )

    def _relay(self, name: str, port: int) -> list[str]:
        return [
            f"Nickname {name}", f"ORPort 127.0.0.1:{port} IPv4Only", "Address 127.0.0.1", "AssumeReachable 1",
            "SocksPort 0", "ContactInfo none@example.test",
        ]  # fmt: skip

    def _start(self, name: str, options: list[str]) -> None:
        common = [
            f"DataDirectory {self._base}/{name}", self._authority,
            "TestingTorNetwork 1", "OutboundBindAddress 127.0.0.1", "NumCPUs 1", "ShutdownWaitLength 0",
            f"__OwningControllerProcess {os.getpid()}",  # so that none outlives a killed test run
        ]  # fmt: skip
        torrc = self._base / f"{name}.torrc"
        torrc.write_text("\n".join([*common, *options, ""]))
        with (self._base / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                ["tor", "--defaults-torrc", self._base / "empty", "-f", torrc],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _consensus(self) -> str | None:
        """The authority's consensus, ``""`` before its first vote."""
        page = f"http://127.0.0.1:{self._directory_port}/tor/status-vote/current/consensus"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(page, timeout=2) as answer:
                return str(answer.read(), "ascii")
        except urllib.error.HTTPError as error:
            with error:
                return ""

    def _is_agreed(self) -> bool:
        """Whether the consensus names every relay as running, and every exit as one."""
        flags = re.findall(r"^s (.*)$", self._consensus() or "", re.MULTILINE)
        running = [words for line in flags if "Running" in (words := line.split())]
        return len(running) == RELAYS and sum("Exit" in words for words in running) == EXITS

    def _is_open(self) -> bool:
        """Whether the client connects us to the page through each exit in turn."""
        for number in range(EXITS):
            self.use_exit(number)
            if not self._connects():
                return False
        self.use_exit(None)
        return True

    def _connects(self) -> bool:
        """Whether a SOCKS request by a name, which only the exits' name servers know, reaches the page."""
        host, _, port = self.socks.partition(":")
        name = b"page.test"
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(b"\5\1\0")  # SOCKS 5, one way to log in: none
            client.recv(2)
            client.sendall(b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack(">H", self._page_port))
            return client.recv(10)[1:2] == b"\0"

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        """Waits for it. A request too early is an OSError; a process that ended will never bring it."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if is_there():
                    return
            for name, process in self._processes.items():
                assert process.poll() is None, (self._base / f"{name}.log").read_text()
            time.sleep(0.1)
        raise AssertionError(f"no {what} within {TIMEOUT:g} s")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
