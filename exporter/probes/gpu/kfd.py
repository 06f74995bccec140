"""Who holds an AMD card's memory by ROCm: /sys/class/kfd/kfd/proc, which every user may read."""

from __future__ import annotations

from pathlib import Path

from exporter.probes.gpu.clients import PID
from exporter.probes.gpu.sysfs import entries, read, value

PLACES = ("class/kfd/kfd", "class/kfd")
SELDOM = 1024  # processes and nodes at most


def memory(sys: Path) -> dict[str, dict[int, int]]:
    """The bytes that each process holds, by the PCI slot of the card."""
    slots = _slots(sys)
    held: dict[str, dict[int, int]] = {}
    for place in PLACES if slots else ():
        directory = f"{sys}/{place}/proc"
        for pid in entries(directory)[:SELDOM]:
            for name in entries(f"{directory}/{pid}") if PID.fullmatch(pid) else ():
                slot = slots.get(name.removeprefix("vram_"), "")
                used = value(f"{directory}/{pid}/{name}") if slot and name.startswith("vram_") else None
                if used:
                    card = held.setdefault(slot, {})
                    card[int(pid)] = card.get(int(pid), 0) + int(used)
        if held:
            break
    return held


def _slots(sys: Path) -> dict[str, str]:
    """The PCI slots of the cards by ROCm's ids."""
    slots = {}
    for place in PLACES:
        nodes = f"{sys}/{place}/topology/nodes"
        for node in entries(nodes)[:SELDOM]:
            identity = read(f"{nodes}/{node}/gpu_id")
            if not identity.isdecimal() or identity == "0":
                continue
            lines = (line.split(" ") for line in read(f"{nodes}/{node}/properties").splitlines())
            properties = {words[0]: words[1] for words in lines if len(words) == 2}  # noqa: PLR2004 - name, value
            location, domain = (properties.get(name, "") for name in ("location_id", "domain"))
            if location.isdecimal() and domain.isdecimal() and len(location) + len(domain) < 20:  # noqa: PLR2004
                slots[identity] = _slot(int(domain), int(location))
        if slots:
            break
    return slots


def _slot(domain: int, location: int) -> str:
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
