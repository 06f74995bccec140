"""The /proc of a fake box: links to the machine's own files, until something is made scarce."""

from __future__ import annotations

import re
from pathlib import Path

from tests.box.files import CAPTURES, link, put

OWN = ("meminfo", "stat", "loadavg", "pressure/cpu", "pressure/memory", "pressure/io", "self")
RECORDED = OWN[:-1]
SWAP = 16 * 1024 * 1024  # KiB; the machine itself may have none
TICKS = 100  # a second


def born(box: Path) -> None:
    """Shows the machine itself."""
    for name in OWN:
        link(box / "proc" / name, Path("/proc") / name)


def freeze(box: Path) -> None:
    """Shows a recorded host, on which nothing moves."""
    link(box / "proc/self", Path("/proc/self"))
    for name in RECORDED:
        put(box / "proc" / name, (CAPTURES / "proc" / name).read_text())


def memory(box: Path, available: float, total: int | None = None) -> None:
    """So large a part of the memory is available, and of the swap not much more is free.

    total: KiB of memory; left out, as many as there were.
    """
    path = box / "proc/meminfo"
    rows = dict(line.split(":", 1) for line in path.read_text().splitlines())
    total = total or int(rows["MemTotal"].split()[0])
    amounts = {
        "MemTotal": total,
        "MemAvailable": available * total,
        "MemFree": available * total / 2,
        "SwapTotal": SWAP,
        "SwapFree": min(1, 1.5 * available) * SWAP,
    }
    rows |= {name: f" {amount:.0f} kB" for name, amount in amounts.items()}
    put(path, "".join(f"{name}:{amount}\n" for name, amount in rows.items()))


def pressure(box: Path, resource: str, seconds: float) -> None:
    """So many seconds more in which everything waited for a resource."""
    path = box / "proc/pressure" / resource
    text = re.sub(r"total=(\d+)", lambda it: f"total={int(it[1]) + seconds * 1e6:.0f}", path.read_text())
    put(path, text)


def load(box: Path, tasks: float, seconds: float) -> None:
    """So many tasks run, and have used so many seconds more of the processors, which rested for a few."""
    put(box / "proc/loadavg", f"{tasks:.2f} {tasks / 2:.2f} {tasks / 4:.2f} {tasks:.0f}/999 4242\n")
    path = box / "proc/stat"
    head, *rest = path.read_text().splitlines()
    user, nice, system, idle, *others = head.split()[1:]
    used = (f"{int(user) + seconds * TICKS:.0f}", nice, system, f"{int(idle) + seconds / 9 * TICKS:.0f}")
    put(path, "\n".join([" ".join(["cpu ", *used, *others]), *rest]) + "\n")
