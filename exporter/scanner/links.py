"""Where symbolic links lead, resolved by the kernel: however they are chained, it gives up after forty.

Part of the scanning process (scan.py).
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH115, PTH123

from __future__ import annotations

import os
from collections.abc import Collection

# File systems that hold no files of anybody's: sizes in them mean nothing, and reading them may have effects.
PSEUDO = {
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
}  # fmt: skip


def resolve(path: str) -> tuple[str, os.stat_result]:
    """The real path of a file or folder, and its status; nothing is opened for reading.

    Raises:
        OSError: it leads nowhere, in a circle, or where this user may not go.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor)
    finally:
        os.close(descriptor)


def lies_in(path: str, folders: Collection[str]) -> bool:
    """Whether a real path is one of these folders, or lies in one."""
    while path not in folders:
        if not path:
            return False
        path = path.rpartition("/")[0]
    return True


def pseudo_devices() -> set[int]:
    """The device numbers of mounted file systems that hold no files of anybody's."""
    devices = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            if after.partition(" ")[0] in PSEUDO:
                major, _, minor = before.split(" ")[2].partition(":")
                devices.add(os.makedev(int(major), int(minor)))
    return devices
