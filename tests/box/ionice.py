"""The fake ionice, through which the exporter starts its scans: a slow one makes a slow disk."""

from __future__ import annotations

import posix


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """Becomes the command that follows ``-c 3 -t``; of a box with disks of its own, scans them."""
    command = arguments[3:]
    if command[-1].startswith(f"{box}/"):
        posix.execv(command[0], command)
    from tests.box import disks  # noqa: PLC0415 - only such a box pays for it

    if command[-1] in disks.DIRECTORIES:
        return disks.scanned(box, command)
    return posix.execv(command[0], command)
