"""The processes behind servers: who listens where, in which container or unit, from /proc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from exporter.probe import Host
from exporter.system.cgroup import container_of

LISTEN = "0A"
TABLE_LIMIT = 4 * 1024 * 1024
SMALL = 64 * 1024
NAMES = {
    "ollama": {"ollama"},
    "llama.cpp": {"llama-server"},
    "llama-swap": {"llama-swap"},
    "vllm": {"vllm", "VLLM::EngineCor", "VLLM::APIServer"},
    "sglang": {"sglang", "sglang::server"},
    "openai": {"local-ai", "lms", "text-generation", "LM Studio"},
}
# They listen for a container, and are not in it.
FORWARDERS = {"docker-proxy", "rootlessport", "rootlesskit", "pasta", "slirp4netns"}
RUNNERS = {"ollama", "llama-server", "ollama_llama_se"}  # of Ollama's models; a name has 15 characters
BLOB = re.compile(r"\0(?:--model=)?[^\0]{1,4000}/blobs/(sha256-[0-9a-f]{64})(?=\0|$)", re.ASCII)
COMMANDS = frozenset(name for names in NAMES.values() for name in names)
# Where they listen unless told otherwise: whom to ask what they are, never what they are.
PORTS = frozenset({11434, 8080, 8000, 30000})
UNIT = re.compile(r"/([^/\n]{1,200}\.service)(?:/|$)", re.MULTILINE)


class Listener(Struct, frozen=True):
    """A socket that takes connections on loopback. command: its process's, empty where that is not known."""

    address: str
    port: int
    inode: str
    command: str = ""
    pid: int = 0


def listeners(host: Host) -> list[Listener]:
    """All sockets that take connections from this host, those of a server's own process first."""
    found: dict[tuple[int, str], Listener] = {}
    owners = _owners(host.proc)
    for table, loopback in (("tcp", _is_local_v4), ("tcp6", _is_local_v6)):
        for address, port, inode in _listening(host.proc / "net" / table):
            if loopback(address):
                pid = owners.get(inode, 0)
                command = _command(host.proc, pid) if pid else ""
                shown = "127.0.0.1" if address != V6_LOOPBACK else "[::1]"
                found.setdefault((port, shown), Listener(shown, port, inode, command, pid))
    return sorted(found.values(), key=lambda it: (it.command not in COMMANDS, it.port))


def owner(host: Host, kind: str, port: int | None) -> tuple[str, str]:
    """The container and the systemd unit of a server; empty where they are not known.

    By the process that listens on the port, where this user may see that; else by all processes of that
    kind, where they agree.
    """
    every = [it for it in listeners(host) if it.port == port and it.command not in FORWARDERS]
    pids = {it.pid for it in every if it.pid}
    pids = pids or set(_named(host.proc, NAMES.get(kind, set())))
    places = {(container_of(pid, host), _unit(host.proc, pid)) for pid in pids}
    return places.pop() if len(places) == 1 else ("", "")


def sockets(host: Host, port: int | None) -> frozenset[str]:
    """The inodes of the sockets that listen on a port: another program's, or one started anew, has others."""
    tables = (_listening(host.proc / "net" / table) for table in ("tcp", "tcp6"))
    return frozenset(inode for table in tables for _, at, inode in table if at == port)


def ollama_blobs(host: Host) -> set[str]:
    """The files of Ollama's, ``sha256-`` and a digest, that processes run, by their command lines."""
    blobs = set[str]()
    for pid in _named(host.proc, RUNNERS):
        blobs.update(BLOB.findall(_read(host.proc / str(pid) / "cmdline", SMALL)))
    return blobs


V6_LOOPBACK = "00000000000000000000000001000000"
V6_ANY = "0" * 32
V4_MAPPED = re.compile(r"0{16}FFFF0000[0-9A-F]{6}7F")


def _is_local_v4(address: str) -> bool:
    return address == "00000000" or address.endswith("7F")  # little-endian


def _is_local_v6(address: str) -> bool:
    return address in (V6_LOOPBACK, V6_ANY) or V4_MAPPED.fullmatch(address) is not None


def _listening(path: Path) -> Iterator[tuple[str, int, str]]:
    for line in _read(path, TABLE_LIMIT).splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:  # noqa: PLR2004 - the inode is the tenth
            address, _, port = fields[1].partition(":")
            if re.fullmatch(r"[0-9A-F]{1,4}", port):
                yield address, int(port, 16), fields[9]


def _owners(proc: Path) -> dict[str, int]:
    """The processes of sockets, by inode, as far as this user may see them."""
    owners: dict[str, int] = {}
    for folder in _processes(proc):
        try:
            links = [link.readlink().name for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        for link in links:
            if link.startswith("socket:["):
                owners.setdefault(link[8:-1], int(folder.name))
    return owners


def _named(proc: Path, names: set[str]) -> Iterator[int]:
    for folder in _processes(proc):
        if _command(proc, int(folder.name)) in names:
            yield int(folder.name)


def _processes(proc: Path) -> Iterator[Path]:
    try:
        yield from (folder for folder in proc.iterdir() if folder.name.isdecimal() and folder.name.isascii())
    except OSError:
        return


def _command(proc: Path, pid: int) -> str:
    return _read(proc / str(pid) / "comm", SMALL).strip("\n")


def _unit(proc: Path, pid: int) -> str:
    """The innermost service of systemd that a process belongs to."""
    units = UNIT.findall(_read(proc / str(pid) / "cgroup", SMALL))
    return units[-1] if units else ""


def _read(path: Path, limit: int) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError:
        return ""
