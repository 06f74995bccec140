"""Scans one directory of models: ``python -I -S scan.py DIRECTORY`` prints one JSON document.

It is a process of its own because on a dead mount any call may hang for ever, so the exporter itself makes
none. It needs memory for the models, the folders that still wait and the links that it meets, but never for
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

from exporter.scanner import links, models

NAMED = 10  # unreadable paths that are named
VANISHED = {errno.ENOENT, errno.ENOTDIR}
DANGLING = {
    errno.ENOENT: "it leads nowhere",
    errno.ENOTDIR: "it leads nowhere",
    errno.ELOOP: "it leads in a circle",
}
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


class Scan:
    """The sizes of a directory and of each model in it.

    size: apparent bytes of all that lies in it, as ``du -sb`` (which from coreutils 9.2 on leaves out the
    folders' own few). whole: nothing is missing from that.
    models: each model's bytes, None where not all of it could be read.
    errors: how often something could not be read. unread: the first such paths, and why.
    denied: a permission was among the reasons.
    skipped: links in a model's place that lead to none, and why.
    file_systems: those beyond the directory's own that links lead to.

    Raises:
        OSError: the directory itself can't be read.
    """

    def __init__(self, directory: str) -> None:
        root, status = links.resolve(directory)
        self.size = 0
        self.whole = True
        self.models: dict[str, int | None] = {}
        self.blobs: dict[str, list[str]] = {}
        self.errors = 0
        self.unread: list[tuple[str, str]] = []
        self.denied = False
        self.skipped: list[tuple[str, str]] = []
        self.file_systems: list[dict[str, int]] = []
        self._root = root.rstrip("/")
        self._inodes: set[tuple[int, int]] = set()
        self._devices = {status.st_dev}
        self._pseudo = links.pseudo_devices()
        self._outside = 0
        self._count(status, set(), inside=True)
        self._add_models(self._root)

    def document(self) -> dict[str, object]:
        """The result, as it is printed."""
        return {
            "size": self.size if self.whole else None,
            "models": models.largest(self.models, complete=not self.errors),
            "blobs": self.blobs,
            "errors": self.errors,
            "unread": self.unread,
            "skipped": self.skipped,
            "user": user() if self.denied else "",
        }

    def _add_models(self, directory: str, *, inside: bool = True, nested: bool = False) -> None:
        """Every model of a directory; a store of models that lies in it counts as if it were its own.

        inside: whether it lies in the directory that is scanned, and not behind a link that leads out.
        """
        items = [self._item(directory, *entry) for entry in self._entries(directory, inside=inside)]
        stores = {item.name for item in items if not nested and self._is_store(item)}
        ollama = models.is_ollama_store(directory)
        strict = bool(stores) or ollama or models.is_hub(directory)
        for item in items:
            if item.link:
                self._count(item.link, set(), inside=inside)
            if item.name in stores:
                if not item.link:
                    self._count(item.status, set(), inside=inside)
                self._add_models(item.path, inside=inside and not item.link, nested=True)
            elif ollama and item.name in models.OLLAMA_PARTS:
                self._measure(item, inside=inside, model=False)
            elif not strict and item.is_folder and models.is_publisher(item.path):
                self._add_publisher(item, inside=inside)
            else:
                name = self._model_name(item, strict=strict)
                size = self._measure(item, inside=inside, model=bool(name))
                if name:
                    self._add(name, size)
        if ollama:
            self._add_manifests(directory)

    def _add_publisher(self, publisher: Item, *, inside: bool) -> None:
        """A folder of folders, each a model."""
        inside = inside and not publisher.link
        if not publisher.link:
            self._count(publisher.status, set(), inside=inside)
        for entry in self._entries(publisher.path, inside=inside):
            item = self._item(publisher.path, *entry)
            if item.link:
                self._count(item.link, set(), inside=inside)
            model = item.is_folder and not item.name.startswith(".")
            size = self._measure(item, inside=inside, model=model)
            if model:
                self._add(f"{publisher.name}/{item.name}", size)

    def _item(self, folder: str, name: str, status: os.stat_result) -> Item:
        """An entry of a folder of models; of a link, what it leads to."""
        path = f"{folder}/{name}"
        if not stat.S_ISLNK(status.st_mode):
            return Item(name, path, status)
        if name.startswith("."):
            return Item(name, "", status, status)
        reason = ""
        try:
            path, target = links.resolve(path)
            reason = self._unfit(path, target, folder)
        except OSError as error:
            target = status
            if error.errno in DANGLING:
                reason = DANGLING[error.errno]
            else:
                self._add_error(path, error)
                return Item(name, "", status, status)
        if reason:
            if len(self.skipped) < NAMED:
                self.skipped.append((f"{folder}/{name}", reason))
            return Item(name, "", status, status)
        return Item(name, path, target, status)

    def _unfit(self, path: str, status: os.stat_result, folder: str) -> str:
        """Why what a link in this folder leads to can't be part of a model."""
        if stat.S_ISDIR(status.st_mode) and any(
            links.lies_in(place, {path.rstrip("/")}) for place in (folder, self._root)
        ):
            return "it leads to a folder that it lies in"
        if status.st_dev in self._pseudo or not (
            stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        ):
            return "it leads to no file or folder"
        return ""

    def _is_store(self, item: Item) -> bool:
        """Whether an entry is a store; a link to one in this same directory adds nothing."""
        if not item.is_folder or item.name.startswith(".") or models.is_repository(item.name):
            return False
        return not (item.link and links.lies_in(item.path, {self._root})) and models.is_store(item.path)

    def _model_name(self, item: Item, *, strict: bool) -> str | None:
        """The name of the model that an entry is; None where it is none.

        strict: it lies beside a store, whose program keeps other things there, too.
        """
        if not item.path or item.name.startswith("."):
            return None
        if item.is_folder:
            if models.is_repository(item.name):
                return models.repository_name(item.name)
            if item.link and links.lies_in(item.path, {self._root}) and models.is_store(item.path):
                return None
            return item.name if not strict or models.holds_weights(item.path) else None
        large = not strict and item.status.st_size >= models.LEAST
        return item.name if models.is_weights(item.name) or large else None

    def _add_manifests(self, store: str) -> None:
        for model, path in models.ollama_manifests(store).items():
            size = None
            try:
                blobs = models.ollama_blobs(store, path)
                size = sum(blobs.values())
                self._add_blob(max(blobs, key=lambda digest: blobs[digest]), model)
            except (OSError, ValueError) as error:
                self._add_error(path, error)
            self._add(model, size)

    def _add_blob(self, digest: str, model: str) -> None:
        """The largest blob holds the weights; it is what Ollama's command lines name."""
        if digest in self.blobs or len(self.blobs) < models.NAMED_BLOBS:
            self.blobs.setdefault(digest, []).append(model)

    def _add(self, model: str, size: int | None) -> None:
        """Two models of one name (in two stores) are one series with the size of both."""
        known = self.models.get(model, 0)
        self.models[model] = None if size is None or known is None else known + size

    def _measure(self, item: Item, *, inside: bool, model: bool) -> int | None:
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
        size = self._count(item.status, inodes, inside=inside)
        waiting = [(item.path, inside)] if item.is_folder else []
        while waiting:
            folder, inside = waiting.pop()
            for name, status in self._entries(folder, inside=inside):
                path = f"{folder}/{name}"
                if not inside and (path in folders or not self._may_follow(item)):
                    continue
                size += self._count(status, inodes, inside=inside)
                if model and stat.S_ISLNK(status.st_mode):
                    target = self._target(path, folder, folders)
                    if not target or not self._may_follow(item):
                        continue
                    path, status = target  # noqa: PLW2901 - what it leads to, in its place
                    size += self._count(status, inodes, inside=False)
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
            if error.errno not in DANGLING:
                self._add_error(path, error)
            return None
        if links.lies_in(target, counted) or self._unfit(target, status, folder):
            return None
        self._add_file_system(target, status)
        return target, status

    def _may_follow(self, item: Item) -> bool:
        """Whether one more entry may be counted behind links; if not, this model's size is not known."""
        self._outside += 1
        if self._outside == LINKED + 1:
            self._add_error(item.path, ValueError(f"links lead to more than {LINKED} files"))
        elif self._outside > LINKED:
            self.errors += 1
        return self._outside <= LINKED

    def _add_file_system(self, path: str, status: os.stat_result) -> None:
        """Adds the file system that a link leads to."""
        if status.st_dev not in self._devices and len(self._devices) <= NAMED:
            self._devices.add(status.st_dev)
            with contextlib.suppress(OSError):
                folder = path if stat.S_ISDIR(status.st_mode) else os.path.dirname(path)
                self.file_systems.append(file_system(folder))

    def _count(self, status: os.stat_result, inodes: set[tuple[int, int]], *, inside: bool) -> int:
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

    def _entries(self, folder: str, *, inside: bool) -> Iterator[tuple[str, os.stat_result]]:
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
        own = file_system(directory)
        scanned = Scan(directory)
        return {"file_systems": [own, root, *scanned.file_systems], **scanned.document()}
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
