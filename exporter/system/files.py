"""Files, read within bounds and replaced as a whole, whatever was planted in their place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader, BufferedWriter
from pathlib import Path

LIMIT = 1024 * 1024  # bytes of a file that is read whole, where its reader sets no other limit
READABLE = 0o640
PRIVATE = 0o600


@contextlib.contextmanager
def open_regular(
    name: str | Path, *, within: int | None = None, follow_links: bool = False
) -> Iterator[BufferedReader]:
    """Opens a regular file for reading, without waiting for the writer of a FIFO.

    Args:
        name: the file, relative to the directory ``within`` where that descriptor is given.
        within: a directory's descriptor.
        follow_links: whether the file may be a link to one.

    Raises:
        OSError: it can't be opened, is a link or no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags if follow_links else flags | os.O_NOFOLLOW, dir_fd=within)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", str(name))
    with os.fdopen(fd, "rb") as file:
        yield file


def read(
    path: Path, limit: int = LIMIT, *, follow_links: bool = True, refuse_open_to_all: bool = False
) -> bytes:
    """Reads a regular file.

    Raises:
        OSError: it can't be read, is no regular file, is larger than ``limit`` bytes, or may be written by
            anyone where that is to be refused.
    """
    with open_regular(path, follow_links=follow_links) as file:
        if refuse_open_to_all and os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
            raise OSError(errno.EPERM, f"anyone may write it: chmod o-w {path}", str(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 1024} KiB", str(path))
    return data


def read_start(path: str | Path, limit: int, errors: str = "surrogateescape") -> str:
    """The text at a file's start, as one read gives it; empty where it can't be read.

    The kernel gives its small files whole in one read. There are many, and they are read often, so this does
    without what Python's own files do besides.
    """
    try:
        # O_NONBLOCK: something else in a file's place, such as a pipe, must not be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(fd, limit).decode("utf-8", errors)
        finally:
            os.close(fd)
    except (OSError, ValueError):  # the latter: a path may hold a NUL
        return ""


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int]:
    """Opens a directory, so that what is done within its descriptor stays in it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def create(name: str, within: int) -> int:
    """Makes a new file (mode 0600) for writing; one that a killed process left there is removed first."""
    remove(name, within)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, PRIVATE, dir_fd=within)


def remove(name: str, within: int) -> None:
    """Removes a file, or the link itself; that there is none is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=within)


@contextlib.contextmanager
def replacing(path: Path, mode: int) -> Iterator[BufferedWriter]:
    """Opens a temporary file that replaces ``path`` at the end: readers see the old file or the new one.

    So it is after a power cut. A file that is ``READABLE`` gets its directory's group, where the writer has
    the right to give it that.
    """
    with open_directory(path.parent) as where:
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
