"""The file systems that are mounted: how much space they have, and which of them hold nobody's files.

Part of the scanning process (scan.py).
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH123

from __future__ import annotations

import os

# File systems that hold no files of anybody's: sizes in them mean nothing, and reading them may have effects.
PSEUDO = {
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
}  # fmt: skip


def file_system(directory: str) -> dict[str, int]:
    """The id of the mount that a directory lies on (as in /proc/self/mountinfo), and its space in bytes.

    Raises:
        OSError: the directory can't be opened.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    blocks = os.fstatvfs(descriptor)
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="utf-8") as lines:
        mount = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    os.close(descriptor)
    counts = {"size": blocks.f_blocks, "free": blocks.f_bfree, "avail": blocks.f_bavail}
    return {"mount": mount} | {name: count * blocks.f_frsize for name, count in counts.items()}


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
