"""Scans one directory of models: ``python -I -S scan.py DIRECTORY`` prints one JSON document.

It is a process of its own because on a dead mount any call may hang for ever, so the exporter itself makes
none. It needs memory for the models, the folders that still wait and the hard links it meets, but never for
every file.
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH100, PTH116, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import stat
import sys
from collections.abc import Iterator

if not __package__:  # run by its path, it doesn't know the package that it belongs to
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from exporter.scanner import models

NAMED = 10  # unreadable paths that are named
VANISHED = {errno.ENOENT, errno.ENOTDIR}
LOST_AND_FOUND = "lost+found"  # the file system's own, readable by root alone


class Scan:
    """The sizes of a directory and of each model in it.

    size: apparent bytes of all that lies in it, as ``du -sb`` (which from coreutils 9.2 on leaves out the
    folders' own few). whole: nothing is missing from that.
    models: each model's bytes, None where it could not be read whole.
    errors: how often something could not be read. unread: the first such paths, and why.
    denied: a permission was among the reasons.

    Raises:
        OSError: the directory itself can't be read.
    """

    def __init__(self, directory: str) -> None:
        self.size = 0
        self.whole = True
        self.models: dict[str, int | None] = {}
        self.errors = 0
        self.unread: list[tuple[str, str]] = []
        self.denied = False
        self._links: set[tuple[int, int]] = set()
        self._count(os.stat(directory), set())
        self._add_models(directory)

    def document(self) -> dict[str, object]:
        """The result, as it is printed."""
        return {
            "size": self.size if self.whole else None,
            "models": models.largest(self.models, complete=not self.errors),
            "errors": self.errors,
            "unread": self.unread,
            "user": user() if self.denied else "",
        }

    def _add_models(self, directory: str, *, nested: bool = False) -> None:
        """Every model of a directory; a store of models that lies in it counts as if it were its own."""
        no_models = models.OLLAMA_PARTS if models.is_ollama_store(directory) else ()
        for name, status in self._entries(directory):
            path = f"{directory}/{name}"
            model = None if name in no_models else models.model_name(name)
            if model and not nested and stat.S_ISDIR(status.st_mode) and models.is_store(path):
                self._count(status, set())
                self._add_models(path, nested=True)
                continue
            size = self._tree(path, status)
            if model:
                self._add(model, size)
        if no_models:
            self._add_manifests(directory)

    def _add_manifests(self, store: str) -> None:
        for model, path in models.ollama_manifests(store):
            size = None
            try:
                size = models.manifest_size(models.read_manifest(path))
            except (OSError, ValueError) as error:
                self._add_error(path, error)
            self._add(model, size)

    def _add(self, model: str, size: int | None) -> None:
        """Two models of one name (in two stores) are one series with the size of both."""
        known = self.models.get(model, 0)
        self.models[model] = None if size is None or known is None else known + size

    def _tree(self, path: str, status: os.stat_result) -> int | None:
        """Bytes of a file, or of a folder with all that is in it; None where not all could be read."""
        errors = self.errors
        links: set[tuple[int, int]] = set()
        size = self._count(status, links)
        waiting = [path] if stat.S_ISDIR(status.st_mode) else []
        while waiting:
            folder = waiting.pop()
            for name, inner in self._entries(folder):
                size += self._count(inner, links)
                if stat.S_ISDIR(inner.st_mode):
                    waiting.append(f"{folder}/{name}")
        return size if self.errors == errors else None

    def _count(self, status: os.stat_result, links: set[tuple[int, int]]) -> int:
        """A file's bytes. A hard-linked one counts once in the whole, and once in each model that has it."""
        if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode):
            self.size += status.st_size
            return status.st_size
        inode = (status.st_dev, status.st_ino)
        if inode not in self._links:
            self._links.add(inode)
            self.size += status.st_size
        if inode in links:
            return 0
        links.add(inode)
        return status.st_size

    def _entries(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """What lies in a folder; symbolic links are not followed."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name != LOST_AND_FOUND and (status := self._status(entry)):
                        yield entry.name, status
        except OSError as error:
            self._add_missing(folder, error)

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as error:
            self._add_missing(entry.path, error)
            return None

    def _add_missing(self, path: str, error: OSError) -> None:
        """Something's size could not be read; what merely vanished (a download's file) has none any more."""
        self.whole = self.whole and error.errno in VANISHED
        self._add_error(path, error)

    def _add_error(self, path: str, error: OSError | ValueError) -> None:
        if isinstance(error, OSError) and error.errno in VANISHED:
            return
        self.errors += 1
        self.denied = self.denied or isinstance(error, PermissionError)
        if len(self.unread) < NAMED:
            self.unread.append((path, getattr(error, "strerror", None) or str(error)))


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


def user() -> str:
    """The name of the user who runs this, or the number of one who has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def failure(directory: str, error: OSError) -> dict[str, object]:
    """Why a directory can't be read; where a permission lacks, also whose and for which folders above."""
    facts: dict[str, object] = {"error": error.strerror, "errno": error.errno}
    if isinstance(error, PermissionError):
        parts = directory.split("/")
        parents = ["/".join(parts[:end]) for end in range(2, len(parts))]
        facts["user"] = user()
        facts["closed"] = [path for path in parents if not os.access(path, os.X_OK, effective_ids=True)]
    return facts


def scan(directory: str) -> dict[str, object]:
    """The sizes of a directory, and the space on its file system and on the root's."""
    root = file_system("/")
    try:
        return {"file_systems": [file_system(directory), root], **Scan(directory).document()}
    except OSError as error:
        return {"file_systems": [root], **failure(directory, error)}


def find(place: str) -> list[tuple[str, str]]:
    """The directories at a place, each with its real path (empty: this user may not see it).

    ``/*/`` in a place stands for any one name.
    """
    before, star, after = place.partition("/*/")
    paths = [f"{before}/{name}/{after}" for name in sorted(os.listdir(before))] if star else [place]
    found = []
    for path in paths:
        try:
            if stat.S_ISDIR(os.stat(path).st_mode):
                found.append((path, os.path.realpath(path)))
        except PermissionError:
            found.append((path, ""))
        except OSError:
            continue
    return found


def main() -> None:
    """Prints the result."""
    with contextlib.suppress(OSError):
        os.nice(19)
    *mode, path = sys.argv[1:]
    document = find(path) if mode else scan(path)
    sys.stdout.write(json.dumps(document, separators=(",", ":")))


if __name__ == "__main__":
    main()
