"""What a process on a card is called, and whether the exporter can see the host's processes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from exporter.probes.gpu.sysfs import read

HOST_NAMESPACE = "pid:[4026531836]"  # of the kernel's first PID namespace, always (proc_ns.h)
WINDOWS = re.compile(r"[A-Za-z]:\\")  # so begin the names of programs there, and of those that Wine runs


def base_name(command: str) -> str:
    """A program's name without its directory, and without options where it wrote those over its name."""
    path = command.partition(" --")[0]
    if WINDOWS.match(path):
        path = path.replace("\\", "/")
    return path.rstrip("/").rpartition("/")[2]


def program_of(proc: Path, pid: int) -> str:
    """The name of a process's program; empty where it has ended or may not be read."""
    command = read(f"{proc}/{pid}/cmdline").partition("\0")[0]
    return base_name(command) or read(f"{proc}/{pid}/comm")


def in_own_pid_namespace(proc: Path) -> bool:
    """Whether the exporter, and a tool that it runs, sees the processes of its own PID namespace alone.

    So it is in most containers: lists of processes are empty, or hold another namespace's numbers.
    """
    try:
        return os.readlink(f"{proc}/self/ns/pid") not in {HOST_NAMESPACE, ""}  # noqa: PTH115 - faster
    except OSError:
        return False
