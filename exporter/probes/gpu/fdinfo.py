"""DRM's fdinfo, what /proc/PID/fdinfo/N has of a file under /dev/dri: whose memory it is, by region."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from exporter.probes.gpu.sysfs import SLOT

AMOUNT = re.compile(r"(\d{1,19})(?:[ \t]+(KiB|MiB|GiB|kB))?", re.ASCII)
REGION = re.compile(r"drm-(resident|memory|shared)-([\w-]{1,40})", re.ASCII)
UNITS = {None: 1, "kB": 1024, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
OLD = {"vram mem": "vram", "gtt mem": "gtt"}  # Linux 5.14 to 5.18
# Regions of memory on the card in the words of amdgpu, xe and i915; and those of the host that a card maps.
OWN = re.compile(r"(?:vram|local)\d*", re.ASCII)
ANY = re.compile(r"(?:vram|local|gtt|system|stolen|stolen-system|stolen-local)\d*", re.ASCII)


class Client(Struct, frozen=True):
    """One opening of a card. A fork or a duplicate shares it: its id is the same.

    slot: the card's place on the PCI bus. identity: unique a card. resident: the bytes that it holds, by
    region. shared: those of them that others hold, too.
    """

    slot: str
    identity: str
    resident: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)


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


def memory(clients: Mapping[int, Iterable[Client]], slot: str, *, shares: bool) -> dict[int, int]:
    """The bytes of a card's memory that each process holds. shares: whether the card uses the host's memory.

    What several hold is counted once, for the one that holds most of it: nothing tells which parts are whose.
    """
    held = [
        (_total(client.shared, shares=shares), _total(client.resident, shares=shares), pid)
        for pid, own in clients.items()
        for client in own
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


def _bytes(text: str) -> int | None:
    amount = AMOUNT.fullmatch(text)
    return int(amount[1]) * UNITS[amount[2]] if amount else None
