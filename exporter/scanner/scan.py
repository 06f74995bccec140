"""Scans one directory of models: ``python -I -S scan.py DIRECTORY`` prints one JSON document.

It is a process of its own because on a dead mount any call may hang for ever, so the exporter itself makes
none. It needs memory for the models, the folders that still wait and the links that it meets, but never for
every file.
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH100, PTH116, PTH120, PTH208

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
import sys

if not __package__:  # run by its path, it doesn't know the package that it belongs to
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from exporter.scanner import models
from exporter.scanner.directory import Directory
from exporter.scanner.mounts import file_system, on_disks


def scan(directory: str) -> dict[str, object]:
    """The sizes of a directory and of its models, and the space on its file system and those on disks."""
    root = file_system("/")
    try:
        own = file_system(directory)
        found = Directory(directory)
    except OSError as error:
        return {"file_systems": [root], **failure(directory, error)}
    sizes = found.sizes
    return {
        "file_systems": [own, root, *sizes.file_systems],
        "on_disks": on_disks(),
        "size": sizes.size if sizes.whole else None,
        "models": models.largest(found.models, complete=not sizes.errors),
        "blobs": found.blobs,
        "errors": sizes.errors,
        "unread": sizes.unread,
        "skipped": found.skipped,
        "user": user() if sizes.denied else "",
    }


def failure(directory: str, error: OSError) -> dict[str, object]:
    """Why a directory can't be read; where a permission lacks, also whose and for which folders above."""
    facts: dict[str, object] = {"error": error.strerror, "errno": error.errno}
    if isinstance(error, PermissionError):
        parts = directory.split("/")
        parents = ["/".join(parts[:end]) for end in range(2, len(parts))]
        facts["user"] = user()
        facts["closed"] = [path for path in parents if not os.access(path, os.X_OK, effective_ids=True)]
    return facts


def user() -> str:
    """The name of the user who runs this, or the number of one who has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


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
