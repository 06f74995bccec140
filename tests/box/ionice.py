"""The fake ionice, through which the exporter starts its scans: a slow one makes a slow disk."""

from __future__ import annotations

import posix
from posixpath import exists

# A script that is run as Python would, but keeps the priority that it has.
URGENT = "import os, sys; os.nice = int; del sys.argv[0]; __file__ = sys.argv[0]; exec(open(__file__).read())"


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """Becomes the command that follows ``-c 3 -t``; of a box with disks of its own, scans them."""
    command = arguments[3:]
    if command[-1].startswith(f"{box}/"):
        if exists(f"{box}/hurry"):
            command[3:3] = ["-c", URGENT]
        posix.execv(command[0], command)
    from tests.box import disks  # noqa: PLC0415 - only such a box pays for it

    if command[-1] in disks.DIRECTORIES:
        return disks.scanned(box, command)
    return posix.execv(command[0], command)
