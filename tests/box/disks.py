"""The disks of a fake box that has its own: a box's usual directories, and room for the models in them."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.box.files import link, put

SELF = Path("/proc/self")


class Disk(NamedTuple):
    """A file system. size: bytes. used: bytes of what lies on it besides the models."""

    mount: int
    mountpoint: str
    device: str
    size: float
    used: float


ROOT = Disk(21, "/", "/dev/nvme0n1p2", 480e9, 137e9)
MODELS = Disk(22, "/ai", "/dev/nvme1n1p1", 960e9, 402e9)
# Each directory that the exporter is to scan: where its files lie in the box, and on which disk.
DIRECTORIES = {"/ai/models": ("models", MODELS), "/usr/share/ollama/.ollama/models": ("ollama", ROOT)}
ROW = "{disk.mount} 1 259:{disk.mount} / {disk.mountpoint} rw,relatime - ext4 {disk.device} rw\n"


def born(box: Path) -> None:
    """Gives the box its disks; the rest of /proc/self is the exporter's own."""
    (box / "proc/self").unlink()
    for own in SELF.iterdir():
        link(box / "proc/self" / own.name, own)
    put(box / "proc/self/mountinfo", "".join(ROW.format(disk=disk) for disk in (ROOT, MODELS)))


def directories(box: Path) -> list[str]:
    """What the exporter is to scan."""
    if (box / "proc/self").is_symlink():
        return [str(box / "models"), str(box / "ollama")]
    return list(DIRECTORIES)


def scanned(box: str, command: Sequence[str]) -> tuple[int, str, str]:
    """Runs the scanner on the files of the last argument, a directory; the file systems are the box's."""
    *scanner, directory = command
    folder, disk = DIRECTORIES[directory]
    run = subprocess.run([*scanner, f"{box}/{folder}"], capture_output=True, text=True, check=False)
    spaces = {"file_systems": [_space(Path(box), each) for each in (disk, ROOT)], "on_disks": []}
    result = json.loads(run.stdout) | spaces
    return run.returncode, json.dumps(result), run.stderr


def _space(box: Path, disk: Disk) -> dict[str, float]:
    folders = (box / folder for folder, on in DIRECTORIES.values() if on == disk)
    files = (path.lstat() for folder in folders for path in folder.rglob("*") if not path.is_symlink())
    models = sum(file.st_size for file in files if stat.S_ISREG(file.st_mode))
    free = round(disk.size - disk.used - models)
    space: dict[str, float] = {"mount": disk.mount, "size": round(disk.size), "free": free, "avail": free}
    return space | {"inodes": 30_000_000, "inodes_free": 29_000_000}
