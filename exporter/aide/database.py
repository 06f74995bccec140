"""AIDE's database: whether it is whole, and whether it is the one that was checked or accepted last.

AIDE itself takes a damaged database for an empty one and reports every file as new, so it is verified here.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import msgspec
from msgspec import Struct

from exporter.aide.files import Paths
from exporter.aide.summary import Digest, load
from exporter.probe import ProbeError
from exporter.system import files

_GZIP = b"\x1f\x8b"
_LINE_LIMIT = 16 * 1024 * 1024


class Database(Struct, frozen=True):
    """A whole database. entries: how many files it describes. modified: its mtime, Unix seconds."""

    sha256: str
    entries: int
    modified: float


def inspect(path: Path) -> Database:
    """Reads a database from its first line to its last.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is damaged, cut off or empty; the text names which.
    """
    with files.open_regular(path) as file:
        sha256 = digest(file)
        file.seek(0)
        zipped = file.read(2) == _GZIP
        file.seek(0)
        try:
            entries = count_entries(_lines(gzip.GzipFile(fileobj=file) if zipped else file))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError("its compressed data is damaged or cut off") from error
        return Database(sha256, entries, os.fstat(file.fileno()).st_mtime)


def digest(file: BufferedReader) -> str:
    """The SHA-256 of the rest of an open file."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(file: BufferedReader | gzip.GzipFile) -> Iterator[bytes]:
    return iter(lambda: file.readline(_LINE_LIMIT), b"")


def count_entries(lines: Iterator[bytes]) -> int:
    """Counts the files that a database's lines describe.

    Raises:
        ValueError: a line is damaged, the end is missing, or there is not one entry.
    """
    if next(lines, b"") != b"@@begin_db\n":
        raise ValueError("it does not begin as a database")
    blanks = _specified(lines)
    entries = 0
    for line in lines:
        if line == b"@@end_db\n":
            break
        if line.count(b" ") != blanks or not line.endswith(b"\n"):
            raise ValueError(f"its entry {entries + 1} is damaged or cut off")
        entries += 1
    else:
        raise ValueError("it is cut off: its end is missing")
    if next(lines, b""):
        raise ValueError("something follows its end")
    if not entries:
        raise ValueError("it has no entry")
    return entries


def _specified(lines: Iterator[bytes]) -> int:
    """The number of blanks in an entry: one less than the fields that the header names."""
    for line in lines:
        if line.startswith(b"@@db_spec "):
            return len(line.split()) - 2
        if not line.startswith(b"#"):
            break
    raise ValueError("its header is damaged")


class Trusted(msgspec.Struct, frozen=True):
    """The active database as last checked or accepted; two digests while an accept replaces it."""

    database: str
    sha256: tuple[Digest, ...]


def trust(paths: Paths, database: Path, *sha256: str) -> None:
    """Records what the active database is, or is about to be."""
    files.write(paths.trusted, msgspec.json.encode(Trusted(str(database), sha256)), files.PRIVATE)


def load_active(paths: Paths, database: Path) -> Database:
    """Reads the active database, whole and unchanged since it was last checked or accepted.

    Raises:
        ProbeError: it is missing, damaged, or another one.
    """
    try:
        found = inspect(database)
    except FileNotFoundError as error:
        raise ProbeError(f"there is no database {database}", _initialize()) from error
    except OSError as error:
        raise ProbeError(f"the database {database} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ProbeError(f"the database {database} is invalid: {error}", _restore(paths, database)) from error
    known = _load_trusted(paths)
    if known and (known.database != str(database) or found.sha256 not in known.sha256):
        reason = f"the database {database} is not the one that was last checked or accepted"
        hint = f"if you made it anew: sudo rm {paths.trusted}; if not: {_restore(paths, database)}"
        raise ProbeError(reason, hint)
    return found


def _load_trusted(paths: Paths) -> Trusted | None:
    try:
        return load(paths.trusted, Trusted)
    except (OSError, ValueError) as error:
        raise ProbeError(f"{paths.trusted} is damaged", f"sudo rm {paths.trusted}") from error


def _initialize() -> str:
    """The command that makes a first database: Debian has one, elsewhere it takes two steps."""
    if Path("/usr/sbin/aideinit").exists():
        return "sudo aideinit"
    return "sudo aide --init, then give the file that it names the name of database_in"


def _restore(paths: Paths, database: Path) -> str:
    if paths.previous.exists():
        return (
            f"sudo cp {paths.previous} {database} && sudo rm {paths.trusted}, or a new one: {_initialize()}"
        )
    return f"put back a copy of it, or make a new one: {_initialize()}"
