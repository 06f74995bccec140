"""Which container a process runs in, by the control group that the kernel has it in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from exporter.probe import Host

# docker-ID.scope, docker/ID, libpod-ID.scope/container, cri-containerd-ID.scope, crio-ID.scope, kubepods/…/ID
CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)
LIMIT = 64 * 1024


def parse_containers(text: str) -> list[str]:
    """The ids of the containers that a ``/proc/PID/cgroup`` names, the outermost first; none on the host.

    Docker's, Podman's, containerd's and CRI-O's, under version 1 and 2. What systemd-nspawn and LXC start has
    no such id and counts as the host's.
    """
    return list(dict.fromkeys(CONTAINER.findall(text)))


def container_of(pid: int, host: Host) -> str:
    """The container that a process runs in: its name, or 12 digits of its id where the name is unknown.

    Empty on the host, and where it is not known: the process has ended or may not be read. Of
    containers inside one another it is the one that the host's engine knows.
    """
    return container_name(parse_containers(_read(host.proc / str(pid) / "cgroup")), host)


def container_name(ids: Sequence[str], host: Host) -> str:
    """The name of the first of these containers with one, else 12 digits of the first id; empty for none."""
    names = (host.container_names[identity] for identity in ids if identity in host.container_names)
    return next(names, ids[0][:12] if ids else "")


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.read(LIMIT)
    except OSError:
        return ""
