"""Who holds a card's memory by DRM's fdinfo: /proc/PID/fdinfo/N of the files under /dev/dri that are open."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.probes.gpu.sysfs import SLOT

LIMIT = 16 * 1024  # bytes of a fdinfo; the longest seen has 2,000
AMOUNT = re.compile(r"(\d{1,19})(?:[ \t]+(KiB|MiB|GiB|kB))?", re.ASCII)
REGION = re.compile(r"drm-(resident|memory|shared)-([\w-]{1,40})", re.ASCII)
PID = re.compile(r"[1-9]\d{0,9}", re.ASCII)
UNITS = {None: 1, "kB": 1024, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
OLD = {"vram mem": "vram", "gtt mem": "gtt"}  # Linux 5.14 to 5.18
# Regions of memory on the card in the words of amdgpu, xe and i915; and those of the host that a card maps.
OWN = re.compile(r"(?:vram|local)\d*", re.ASCII)
ANY = re.compile(r"(?:vram|local|gtt|system|stolen|stolen-system|stolen-local)\d*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Client:
    """One opening of a card. A fork or a duplicate shares it: its id is the same.

    slot: the card's place on the PCI bus. identity: unique a card. resident: the bytes that it holds, by
    region. shared: those of them that others hold, too.
    """

    slot: str
    identity: str
    resident: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Scan:
    """The clients by process, each once. complete: whether every process could be read."""

    clients: dict[int, list[Client]] = field(default_factory=dict)
    complete: bool = True


def parse_client(text: str) -> Client | None:
    """The client of a fdinfo; None where it is none of DRM's. What follows the last newline was cut off."""
    whole = text.rpartition("\n")[0]
    lines = {
        name.strip(): rest.strip() for name, _, rest in (line.partition(":") for line in whole.split("\n"))
    }
    slot = lines.get("drm-pdev") or lines.get("pdev", "")
    identity = lines.get("drm-client-id") or f"pasid {lines.get('pasid', '')}"
    if not SLOT.fullmatch(slot.lower()):
        return None
    amounts: dict[str, dict[str, int]] = {"resident": {}, "memory": {}, "shared": {}}
    for name, rest in lines.items():
        key, amount = REGION.fullmatch(name), _bytes(rest)
        if key and amount is not None:
            amounts[key[1]][key[2]] = amount
        elif name in OLD and amount is not None:
            amounts["memory"][OLD[name]] = amount
    return Client(slot.lower(), identity[:40], amounts["memory"] | amounts["resident"], amounts["shared"])


def scan(proc: str, nodes: Mapping[str, str], *, all_awake: bool = True) -> Scan:
    """Reads every process that may be read. nodes: the slots of the cards to ask for, by name of the device.

    all_awake: whether no card of the host sleeps. Where one does only what is open under the names of
    ``nodes`` is read, since the fdinfo of a sleeping card would wake it.
    """
    result, seen = Scan(), set[tuple[str, str]]()
    pids = sorted(int(name) for name in _listing(proc) or () if PID.fullmatch(name))
    # Where the first process is not shown (hidepid) others aren't either.
    result.complete = bool(pids) and (1 in pids or not os.path.lexists(f"{proc}/self"))
    for pid in pids:
        files = _files(f"{proc}/{pid}", nodes, all_awake=all_awake)
        if files is None:
            result.complete = False
        for file in files or ():
            client = parse_client(_read(file))
            known = client and client.slot in nodes.values() and (client.slot, client.identity) not in seen
            if client and known:
                seen.add((client.slot, client.identity))
                result.clients.setdefault(pid, []).append(client)
    return result


def memory(scan: Scan, slot: str, *, shares: bool) -> dict[int, int]:
    """The bytes of a card's memory that each process holds. shares: whether it uses the host's memory.

    What several hold is counted once, for the one that holds most of it: nothing tells which parts are whose.
    """
    held = [
        (_total(client.shared, shares=shares), _total(client.resident, shares=shares), pid)
        for pid, clients in scan.clients.items()
        for client in clients
        if client.slot == slot
    ]
    result: dict[int, int] = {}
    for place, (shared, resident, pid) in enumerate(sorted(held, key=lambda each: (-each[0], each[2]))):
        alone = resident if place == 0 else max(0, resident - shared)
        result[pid] = result.get(pid, 0) + alone
    return result


def _total(amounts: Mapping[str, int], *, shares: bool) -> int:
    regions = ANY if shares else OWN
    return sum(amount for name, amount in amounts.items() if regions.fullmatch(name))


def _files(process: str, nodes: Mapping[str, str], *, all_awake: bool) -> list[str] | None:
    """The files of a process's fdinfo that are of the cards, or may be; None where it may not be read.

    The capability to trace others' processes opens their fdinfo, but not the links to what is open.
    """
    names = _listing(f"{process}/fd")
    if names is not None:
        names = [name for name in names if _node(f"{process}/fd/{name}") in nodes]
    elif all_awake:
        names = _listing(f"{process}/fdinfo")
    return None if names is None else [f"{process}/fdinfo/{name}" for name in names]


def _node(link: str) -> str:
    """The name of the device under /dev/dri that a link leads to; empty for any other."""
    try:
        directory, _, name = os.readlink(link).rpartition("/")  # noqa: PTH115 - faster
    except OSError:
        return ""
    return name if directory == "/dev/dri" else ""


def _listing(path: str) -> list[str] | None:
    """The names in a directory, none where the process has ended; None where it may not be read."""
    try:
        return os.listdir(path)  # noqa: PTH208 - faster
    except PermissionError:
        return None
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(fd, LIMIT).decode("utf-8", "replace")
        finally:
            os.close(fd)
    except OSError:
        return ""


def _bytes(text: str) -> int | None:
    amount = AMOUNT.fullmatch(text)
    return int(amount[1]) * UNITS[amount[2]] if amount else None
