"""Where symbolic links lead, resolved by the kernel: however they are chained, it gives up after forty.

Part of the scanning process (scan.py).
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH115

from __future__ import annotations

import errno
import os
from collections.abc import Collection

DANGLING = {
    errno.ENOENT: "it leads nowhere",
    errno.ENOTDIR: "it leads nowhere",
    errno.ELOOP: "it leads in a circle",
}


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
