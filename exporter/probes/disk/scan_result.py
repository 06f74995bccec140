"""The output of a scan (scan.py), and its errors and warnings for a person."""

from __future__ import annotations

import errno
import json
import shlex
from pathlib import Path

import msgspec

from exporter.probe import Note, ProbeError

SCANNER = Path(__file__).parents[2] / "scanner/scan.py"
NAMED = 3  # unreadable paths in a note


class FileSystem(msgspec.Struct, frozen=True):
    """The id of a mount, the space on its file system in bytes, and its inodes."""

    mount: int
    size: int
    free: int
    avail: int
    inodes: int = 0
    inodes_free: int = 0


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """All that scan.py prints of a directory.

    file_systems: the directory's, where it could be read, the root's, and those that links lead to.
    on_disks: every one on a disk of this machine, wherever it is mounted.
    size: in bytes, None where not all of the directory could be read. skipped: links in a model's place that
    lead to none. error, errno: why the directory can't be scanned. user: who lacks a permission.
    blobs: whose weights a blob of Ollama's is, by its digest.
    closed: the folders above it that this user may not enter.
    """

    file_systems: tuple[FileSystem, ...]
    on_disks: tuple[FileSystem, ...] = ()
    size: int | None = None
    models: dict[str, int] = {}
    blobs: dict[str, tuple[str, ...]] = {}
    errors: int = 0
    unread: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    error: str = ""
    errno: int = 0
    user: str = ""
    closed: tuple[str, ...] = ()


def parse(stdout: bytes) -> ScanResult:
    """A scan's output as scan.py printed it, typed.

    Raises:
        ProbeError: it printed something else.
    """
    try:
        # msgspec's own decoder refuses a name whose bytes are not UTF-8; json takes it.
        return msgspec.convert(json.loads(stdout), ScanResult)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ProbeError(f"the scan's output is invalid: {error}") from error


def failure(directory: str, scan: ScanResult) -> tuple[str, str]:
    """Why a directory can't be scanned, and how to fix it."""
    match scan.errno:
        case errno.ENOENT:
            return f"{directory} does not exist", "create it, mount it, or configure another directory"
        case errno.ENOTDIR:
            return f"{directory} is not a directory", "configure the directory that holds the models"
        case errno.EACCES | errno.EPERM:
            return f"{directory} may not be read by {scan.user}", _permission_hint(directory, scan)
    hint = "see what dmesg says of its file system, and mount it again"
    return f"{directory} can't be read: {scan.error}", hint


def notes(directory: str, scan: ScanResult) -> tuple[Note, ...]:
    """The warnings of a scan that could not read everything."""
    return (*_unread(directory, scan), *_skipped(scan))


def _skipped(scan: ScanResult) -> tuple[Note, ...]:
    if not scan.skipped:
        return ()
    named = ", ".join(f"{path} ({reason})" for path, reason in scan.skipped[:NAMED])
    more = ", ..." if len(scan.skipped) > NAMED else ""
    return (Note(f"link(s) without a model: {named}{more}", "mount what they lead to, or remove them"),)


def _unread(directory: str, scan: ScanResult) -> tuple[Note, ...]:
    if not scan.errors:
        return ()
    named = [f"{path} ({reason})" for path, reason in scan.unread[:NAMED]]
    more = ["..."] if len(named) < scan.errors else []
    text = f"{scan.errors} part(s) of {directory} can't be read: {', '.join(named + more)}"
    if scan.size is None:
        text += "; so its size is not known"
    return (Note(text, _permission_hint(directory, scan) if scan.user else ""),)


def _permission_hint(directory: str, scan: ScanResult) -> str:
    """The commands that let the user read all of a directory, and what will be written there later."""
    who = shlex.quote(scan.user)
    commands = [f"sudo setfacl -R -m u:{who}:rX,d:u:{who}:rX {shlex.quote(directory)}"]
    if scan.closed:
        commands.insert(0, f"sudo setfacl -m u:{who}:x {shlex.join(scan.closed)}")
    return " && ".join(commands)
