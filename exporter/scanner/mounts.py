"""The file systems that are mounted: how much space they have, and which of them hold nobody's files.

Part of the scanning process (scan.py).
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

# On disks of this machine, which answer without a server; what images and other programs mount is no disk.
ON_DISKS = {"bcachefs", "zfs"}  # besides those whose device is one
IMAGES = {"cramfs", "erofs", "iso9660", "squashfs", "udf"}
MOST = 64  # file systems
ESCAPE = re.compile(r"\\([0-7]{3})")

# File systems that hold no files of anybody's: sizes in them mean nothing, and reading them may have effects.
PSEUDO = {
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
}  # fmt: skip


def file_system(directory: str, flags: int = os.O_RDONLY) -> dict[str, int]:
    """The id of the mount that a directory lies on (as in /proc/self/mountinfo), and its space.

    Its bytes, and the number of files that it may hold and of those that it could still take (inodes).

    Raises:
        OSError: the directory can't be opened.
    """
    descriptor = os.open(directory, flags | os.O_DIRECTORY)
    blocks = os.fstatvfs(descriptor)
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="utf-8") as lines:
        mount = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    os.close(descriptor)
    counts = {"size": blocks.f_blocks, "free": blocks.f_bfree, "avail": blocks.f_bavail}
    space = {name: count * blocks.f_frsize for name, count in counts.items()}
    return {"mount": mount, **space, "inodes": blocks.f_files, "inodes_free": blocks.f_favail}


def on_disks() -> list[dict[str, int]]:
    """The same of every file system on a disk of this machine; one that can't be asked is left out.

    Network mounts and those of FUSE are not touched: they may never answer.
    """
    found = []
    for point in _points():
        with contextlib.suppress(OSError):
            found.append(file_system(point, os.O_PATH))  # which needs no permission for the folder itself
    return found


def _points() -> Iterator[str]:
    """Where the file systems on disks are mounted, each once."""
    devices = set[str]()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            _, _, device, root, point = before.split(" ")[:5]
            fstype, source = after.split(" ")[:2]
            disk = source.startswith("/dev/") and not source.startswith(("/dev/loop", "/dev/fuse"))
            whole = root == "/" or fstype == "btrfs"  # whose subvolumes share the space
            excluded = fstype in IMAGES or fstype.startswith("fuse")
            if whole and (disk or fstype in ON_DISKS) and not excluded and device not in devices:
                devices.add(device)
                yield ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), point)
                if len(devices) == MOST:
                    return


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
