"""What a container uses, as the kernel counts it in its control group (version 1 or 2)."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from exporter.metrics.families import number
from exporter.probe import Host
from exporter.system.files import read_start

MEMBERSHIP = re.compile(r"^\d{1,9}:([^:\n]*):/(.*)$", re.ASCII | re.MULTILINE)
MOST = 2.0**60  # bytes, nanoseconds or microseconds: more than any container uses
LIMIT = 64 * 1024  # bytes of a file; the kernel gives each whole in one read


class Usage(Struct, frozen=True):
    """cpu_seconds: processor time. memory_bytes: memory less the file cache that is easily given back."""

    cpu_seconds: float | None
    memory_bytes: float | None


def usage(host: Host, pid: int, container_id: str) -> Usage:
    """What the container of this main process uses (pid 0: it has none); None for what can't be read."""
    groups = parse_groups(read_start(f"{host.proc}/{pid}/cgroup", LIMIT), container_id)
    return Usage(_cpu_seconds(host.cgroup, groups), _memory_bytes(host.cgroup, groups))


def parse_groups(text: str, container_id: str) -> dict[str, str]:
    """The container's group by version 1's controllers, and under ``""`` that of version 2.

    From /proc/PID/cgroup, where a process may lie deeper than its container's own group (Podman's
    ``libpod-ID.scope/container``, a systemd inside): what follows the part with the id is cut off. A path
    without the id is not the container's (the pid was given away, or is another machine's), and one that
    climbs by ``..`` is seen from another cgroup namespace: both are left out.
    """
    groups: dict[str, str] = {}
    for controllers, path in MEMBERSHIP.findall(text):
        parts = path.split("/")
        depth = next((n for n, part in enumerate(parts, 1) if container_id in part), 0)
        if depth and ".." not in parts:
            groups |= dict.fromkeys(controllers.split(","), "/".join(parts[:depth]))
    return groups


def _cpu_seconds(root: Path, groups: dict[str, str]) -> float | None:
    if "cpuacct" in groups:
        nanoseconds = number(
            read_start(f"{root}/cpuacct/{groups['cpuacct']}/cpuacct.usage", LIMIT), most=MOST
        )
        return None if nanoseconds is None else nanoseconds / 1e9
    if "" in groups:
        microseconds = _entry(f"{root}/{groups['']}/cpu.stat", "usage_usec")
        return None if microseconds is None else microseconds / 1e6
    return None


def _memory_bytes(root: Path, groups: dict[str, str]) -> float | None:
    if "memory" in groups:
        group = f"{root}/memory/{groups['memory']}"
        usage_file, inactive = "memory.usage_in_bytes", "total_inactive_file"
    elif "" in groups:
        group, usage_file, inactive = f"{root}/{groups['']}", "memory.current", "inactive_file"
    else:
        return None
    used, cache = (
        _number(f"{group}/{usage_file}"),
        _entry(f"{group}/memory.stat", inactive),
    )
    if used is None or cache is None:
        return None
    return max(used - cache, 0.0)  # two files, read one after the other


def _number(path: str) -> float | None:
    return number(read_start(path, LIMIT), most=MOST)


def _entry(path: str, key: str) -> float | None:
    """A value of a file that has a key and a value on each line."""
    match = re.search(rf"^{key} (.*)$", read_start(path, LIMIT), re.MULTILINE)
    return number(match[1], most=MOST) if match else None
