"""Where AIDE's checks keep what they know, and how it is read and written there.

What is written is whole or not there, whatever ends the writer; what is read is a plain file of bounded size.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path

READABLE = 0o640
PRIVATE = 0o600
_LIMIT = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of the checks. ``state`` is root's; the exporter's group may read it, ``private`` apart."""

    state: Path = Path("/var/lib/grid-exporter-aide")

    def __post_init__(self) -> None:
        """Refuses what would need quoting in AIDE's configuration, which knows no safe way for all of it."""
        if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", str(self.state)):
            raise ValueError(f"expected an absolute path of plain characters, got {str(self.state)!r}")

    @property
    def summary(self) -> Path:
        """What the last check found."""
        return self.state / "summary.json"

    @property
    def outcome(self) -> Path:
        """How the last attempt to accept ended."""
        return self.state / "outcome.json"

    @property
    def running(self) -> Path:
        """Which command is at work, and which process it is."""
        return self.state / "running.json"

    @property
    def private(self) -> Path:
        """What only root may read: databases hold every file's name and digest."""
        return self.state / "private"

    @property
    def lock(self) -> Path:
        """Held by the one command that may change anything here."""
        return self.private / "lock"

    @property
    def trusted(self) -> Path:
        """The digest of the database in force, as last checked or accepted."""
        return self.private / "trusted.json"

    @property
    def previous(self) -> Path:
        """The database that the last accepted one replaced."""
        return self.private / "previous.db"

    @property
    def work(self) -> Path:
        """What a running check writes."""
        return self.private / "work"

    def candidate(self, id_: str) -> Path:
        """The database that a check wrote and a person may accept."""
        return self.private / f"{id_}.db"

    def report(self, id_: str) -> Path:
        """AIDE's own report of that check, complete."""
        return self.private / f"{id_}.json"


@contextlib.contextmanager
def plain(name: str | Path, *, within: int | None = None, links: bool = False) -> Iterator[BufferedReader]:
    """Opens a regular file for reading: no link is followed unless told to, no FIFO waited for.

    Args:
        name: the file, relative to the directory ``within`` where that descriptor is given.
        within: a directory's descriptor.
        links: whether the file may be a link to one.

    Raises:
        OSError: it cannot be opened, or is a link.
        ValueError: it is not a regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags if links else flags | os.O_NOFOLLOW, dir_fd=within)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError(f"{Path(name).name} is not a regular file")
    with os.fdopen(fd, "rb") as file:
        yield file


def read(path: Path) -> bytes:
    """A small file's bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a regular file, or larger than 32 MiB.
    """
    with plain(path) as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError(f"{path.name} is larger than {_LIMIT >> 20} MiB")
    return data


@contextlib.contextmanager
def directory(path: Path) -> Iterator[int]:
    """A directory's descriptor, so that what is done in it stays in it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def create(name: str, within: int) -> int:
    """Makes a new file for writing, 0600; one that a killed command left there goes first."""
    remove(name, within)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, PRIVATE, dir_fd=within)


def remove(name: str, within: int) -> None:
    """Removes a file, or the link itself; that there is none is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=within)


@contextlib.contextmanager
def replacing(path: Path, mode: int) -> Iterator[BufferedWriter]:
    """A file that takes the place of ``path`` at the end: readers see the old one or the new one.

    So it is after a power cut. What the exporter may read belongs to the directory's group, also where a
    person wrote it; without the right to say so it stays the writer's, and the exporter says what it lacks.
    """
    with directory(path.parent) as where:
        new = f".{path.name}.new"
        with os.fdopen(create(new, where), "wb") as file:
            yield file
            file.flush()
            if mode == READABLE:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), -1, os.fstat(where).st_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(new, path.name, src_dir_fd=where, dst_dir_fd=where)
        os.fsync(where)


def write(path: Path, data: bytes, mode: int = READABLE) -> None:
    """Replaces a file by ``data``."""
    with replacing(path, mode) as file:
        file.write(data)


def sync(path: Path) -> None:
    """Waits until a file's or a directory's content would survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
