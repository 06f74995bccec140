"""What is mounted where, from /proc/self/mountinfo."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True):
    """One mount.

    number: the file system's (``254:0``). root: the folder of it that is seen at ``point``.
    device: what was mounted, such as ``/dev/sda1``. fstype: such as ``ext4``.
    read_only: whether the file system itself is, not only this view of it.
    """

    number: str
    root: str
    point: str
    device: str
    fstype: str
    read_only: bool = False


def parse_mounts(text: str) -> dict[int, Mount]:
    """Every mount by its id, from mountinfo's text; a line of another form is passed over."""
    mounts = {}
    for line in text.split("\n"):
        fields = line.split(" ")
        try:
            end = fields.index("-", 6)
            fstype, device, options = fields[end + 1 : end + 4]
            number, root, point, device, fstype = map(_unescape, (*fields[2:5], device, fstype))
            read_only = "ro" in options.split(",")
            mounts[int(fields[0])] = Mount(number, root, point, device, fstype, read_only)
        except ValueError:
            continue
    return mounts


def origin(mounts: Mapping[int, Mount], number: int) -> Mount | None:
    """The mount with this id; or, where it only repeats a part of another at its own place, that other.

    systemd does so to give a unit its own view of a folder, which stays a part of the file system below.
    """
    mine = mounts.get(number)
    if mine is None:
        return None
    return min((other for other in mounts.values() if _repeats(mine, other)), key=lambda it: len(it.point))


def _repeats(mine: Mount, other: Mount) -> bool:
    """Whether the same is seen with and without ``mine`` on top of ``other``. Every mount repeats itself."""
    below = _below(mine.point, other.point)
    return mine.number == other.number and below is not None and below == _below(mine.root, other.root)


def _below(path: str, top: str) -> str | None:
    """What leads from ``top`` down to ``path``; None where it does not lie there."""
    path, top = path.rstrip("/"), top.rstrip("/")
    return path[len(top) :] if path == top or path.startswith(f"{top}/") else None


def _unescape(field: str) -> str:
    """The kernel writes what would break a line up, a space for one, as its octal number."""
    return ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), field)
