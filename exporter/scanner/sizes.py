"""How many bytes files and folders have, and what of them could not be read.

Part of the scanning process (scan.py).
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH120

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from exporter.scanner import links, mounts

NAMED = 10  # unreadable paths that are named
VANISHED = {errno.ENOENT, errno.ENOTDIR}
LINKED = 500_000  # files that may be counted behind links, of all models together
LOST_AND_FOUND = "lost+found"  # the file system's own, readable by root alone


class Item:
    """An entry of a folder of models; of a link, what that leads to.

    path: its real path, empty for a link that leads to nothing that could be a model. link: its own status.
    """

    def __init__(
        self, name: str, path: str, status: os.stat_result, link: os.stat_result | None = None
    ) -> None:
        self.name = name
        self.path = path
        self.status = status
        self.link = link
        self.is_folder = stat.S_ISDIR(status.st_mode)


class Sizes:
    """The bytes of a directory, added up as its parts are measured.

    root: the directory's real path. size: apparent bytes of all that was counted inside of it, as ``du -sb``
    (which from coreutils 9.2 on leaves out the folders' own few). whole: nothing is missing from that.
    errors: how often something could not be read. unread: the first such paths, and why.
    denied: a permission was among the reasons.
    file_systems: those beyond the directory's own that links lead to.

    Raises:
        OSError: the directory itself can't be read.
    """

    def __init__(self, directory: str) -> None:
        root, status = links.resolve(directory)
        self.root = root.rstrip("/")
        self.size = 0
        self.whole = True
        self.errors = 0
        self.unread: list[tuple[str, str]] = []
        self.denied = False
        self.file_systems: list[dict[str, int]] = []
        self._inodes: set[tuple[int, int]] = set()
        self._devices = {status.st_dev}
        self._pseudo = mounts.pseudo_devices()
        self._outside = 0
        self.count(status, set(), inside=True)

    def measure(self, item: Item, *, inside: bool, model: bool) -> int | None:
        """Bytes of a file, or of a folder with all that is in it; None where not all could be read.

        Of a model, what links in it lead to is part of it, too: once, however many lead there, and not of the
        whole, which has it where it lies, or not at all.
        """
        if not item.path or (item.link and not model):
            return None
        inside = inside and not item.link
        errors = self.errors
        folders, inodes = {item.path}, set[tuple[int, int]]()
        if item.link:
            self._add_file_system(item.path, item.status)
        size = self.count(item.status, inodes, inside=inside)
        waiting = [(item.path, inside)] if item.is_folder else []
        while waiting:
            folder, inside = waiting.pop()
            for name, status in self.entries(folder, inside=inside):
                path = f"{folder}/{name}"
                if not inside and (path in folders or not self._may_follow(item)):
                    continue
                size += self.count(status, inodes, inside=inside)
                if model and stat.S_ISLNK(status.st_mode):
                    target = self._target(path, folder, folders)
                    if not target or not self._may_follow(item):
                        continue
                    path, status = target  # noqa: PLW2901 - what it leads to, in its place
                    size += self.count(status, inodes, inside=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.add(path)
                        waiting.append((path, False))
                elif stat.S_ISDIR(status.st_mode) and (inside or status.st_dev not in self._pseudo):
                    waiting.append((path, inside))
        return size if self.errors == errors else None

    def _target(self, path: str, folder: str, counted: set[str]) -> tuple[str, os.stat_result] | None:
        """What a link in a model leads to; None where that is counted anyway, or is nothing to count."""
        try:
            target, status = links.resolve(path)
        except OSError as error:
            if error.errno not in links.DANGLING:
                self.add_error(path, error)
            return None
        if links.lies_in(target, counted) or self.unfit(target, status, folder):
            return None
        self._add_file_system(target, status)
        return target, status

    def unfit(self, path: str, status: os.stat_result, folder: str) -> str:
        """Why what a link in this folder leads to can't be part of a model."""
        if stat.S_ISDIR(status.st_mode) and any(
            links.lies_in(place, {path.rstrip("/")}) for place in (folder, self.root)
        ):
            return "it leads to a folder that it lies in"
        if status.st_dev in self._pseudo or not (
            stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        ):
            return "it leads to no file or folder"
        return ""

    def _may_follow(self, item: Item) -> bool:
        """Whether one more entry may be counted behind links; if not, this model's size is not known."""
        self._outside += 1
        if self._outside == LINKED + 1:
            self.add_error(item.path, ValueError(f"links lead to more than {LINKED} files"))
        elif self._outside > LINKED:
            self.errors += 1
        return self._outside <= LINKED

    def _add_file_system(self, path: str, status: os.stat_result) -> None:
        """Adds the file system that a link leads to."""
        if status.st_dev not in self._devices and len(self._devices) <= NAMED:
            self._devices.add(status.st_dev)
            with contextlib.suppress(OSError):
                folder = path if stat.S_ISDIR(status.st_mode) else os.path.dirname(path)
                self.file_systems.append(mounts.file_system(folder))

    def count(self, status: os.stat_result, inodes: set[tuple[int, int]], *, inside: bool) -> int:
        """A file's bytes. One with several names counts once in the whole, and once in each model."""
        if stat.S_ISDIR(status.st_mode) or (inside and status.st_nlink == 1):
            self.size += status.st_size * inside
            return status.st_size
        inode = (status.st_dev, status.st_ino)
        if inside and inode not in self._inodes:
            self._inodes.add(inode)
            self.size += status.st_size
        if inode in inodes:
            return 0
        inodes.add(inode)
        return status.st_size

    def entries(self, folder: str, *, inside: bool) -> Iterator[tuple[str, os.stat_result]]:
        """What lies in a folder; symbolic links are not followed."""
        try:
            with os.scandir(folder or "/") as entries:
                for entry in entries:
                    if entry.name != LOST_AND_FOUND and (status := self._status(entry, inside=inside)):
                        yield entry.name, status
        except OSError as error:
            self._add_missing(folder, error, inside=inside)

    def _status(self, entry: os.DirEntry[str], *, inside: bool) -> os.stat_result | None:
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as error:
            self._add_missing(entry.path, error, inside=inside)
            return None

    def _add_missing(self, path: str, error: OSError, *, inside: bool) -> None:
        """Something's size could not be read; what merely vanished (a download's file) has none any more."""
        self.whole = self.whole and (not inside or error.errno in VANISHED)
        self.add_error(path, error)

    def add_error(self, path: str, error: OSError | ValueError) -> None:
        """Something could not be read, unless it merely vanished."""
        if isinstance(error, OSError) and error.errno in VANISHED:
            return
        self.errors += 1
        self.denied = self.denied or isinstance(error, PermissionError)
        if len(self.unread) < NAMED:
            self.unread.append((path, getattr(error, "strerror", None) or str(error)))
