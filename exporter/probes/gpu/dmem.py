"""Card memory by cgroup (dmem, Linux 6.14 and later): how much there is, and what each container holds."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from exporter.probes.gpu.sysfs import MAX_ENTRIES, read
from exporter.system.cgroup import parse_containers

REGION = re.compile(r"drm/([0-9a-f:.]{1,20})/(?:vram|local)\d* (\d{1,19})", re.ASCII)
MOST = 4096  # cgroups
DEEPEST = 12


def parse(text: str) -> dict[str, int]:
    """The bytes of each card's own memory, by PCI slot, of ``dmem.capacity`` or ``dmem.current``."""
    amounts: dict[str, int] = {}
    for line in text.splitlines():
        if region := REGION.fullmatch(line.strip()):
            amounts[region[1]] = amounts.get(region[1], 0) + int(region[2])
    return amounts


def capacity(cgroup: Path) -> dict[str, int]:
    """How much memory each card has, by PCI slot; none where the kernel doesn't count it."""
    return parse(read(cgroup / "dmem.capacity"))


def by_container(cgroup: Path) -> dict[str, dict[str, int]]:
    """What each container holds of each card: by its full id, then by PCI slot.

    Only cgroups whose parent has the controller on have the file; those below are looked at in them alone.
    """
    held: dict[str, dict[str, int]] = {}
    below = [(str(cgroup), "", 0)]
    for _ in range(MOST):
        if not below:
            break
        directory, path, depth = below.pop()
        for name in _directories(directory):
            if text := read(f"{directory}/{name}/dmem.current"):
                ids = parse_containers(f"{path}/{name}")
                if ids:
                    held[ids[0]] = parse(text)
                elif depth < DEEPEST:
                    below.append((f"{directory}/{name}", f"{path}/{name}", depth + 1))
    return held


def _directories(path: str) -> list[str]:
    """The names of the directories in one; a cgroup has a dozen files beside each."""
    try:
        with os.scandir(path) as found:
            return sorted(entry.name for entry in itertools.islice(found, MAX_ENTRIES) if entry.is_dir())
    except OSError:
        return []
