"""What a scan of a directory printed (scan.py), and what it means for a person."""

from __future__ import annotations

import errno
import json
import shlex
from pathlib import Path

import msgspec

from exporter.probe import Note, ProbeError

SCANNER = Path(__file__).parents[2] / "scanner/scan.py"
NAMED = 3  # unreadable paths in a note


class Room(msgspec.Struct, frozen=True):
    """The id of a mount, and its file system's room in bytes."""

    mount: int
    size: int
    free: int
    avail: int


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """All that scan.py prints of a directory.

    rooms: the directory's, where it could be looked at, and the root's. size: in bytes, None where not all
    of the directory could be read. failed, errno: why the directory could not be looked at. user: who lacks a
    permission. closed: the folders above it that this user may not enter.
    """

    rooms: tuple[Room, ...]
    size: int | None = None
    models: dict[str, int] = {}
    errors: int = 0
    unread: tuple[tuple[str, str], ...] = ()
    failed: str = ""
    errno: int = 0
    user: str = ""
    closed: tuple[str, ...] = ()


def parse(stdout: bytes) -> ScanResult:
    """The findings, from what scan.py printed.

    Raises:
        ProbeError: it printed something else.
    """
    try:
        # msgspec's own decoder refuses a name whose bytes are not UTF-8; json takes it.
        return msgspec.convert(json.loads(stdout), ScanResult)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ProbeError(f"the scan printed what it never prints: {error}") from error


def failure(directory: str, findings: ScanResult) -> tuple[str, str]:
    """Why a directory could not be looked at, and what to do about it."""
    match findings.errno:
        case errno.ENOENT:
            return f"{directory} does not exist", "create it, mount it, or configure another directory"
        case errno.ENOTDIR:
            return f"{directory} is not a directory", "configure the directory that holds the models"
        case errno.EACCES | errno.EPERM:
            return f"{directory} may not be read by {findings.user}", _permit(directory, findings)
    hint = "see what dmesg says of its file system, and mount it again"
    return f"{directory} can't be read: {findings.failed}", hint


def notes(directory: str, findings: ScanResult) -> tuple[Note, ...]:
    """What a person should know of a scan that could not read everything."""
    if not findings.errors:
        return ()
    named = [f"{path} ({reason})" for path, reason in findings.unread[:NAMED]]
    more = ["..."] if len(named) < findings.errors else []
    text = f"{findings.errors} part(s) of {directory} can't be read: {', '.join(named + more)}"
    if findings.size is None:
        text += "; so its size is not known"
    return (Note(text, _permit(directory, findings) if findings.user else ""),)


def _permit(directory: str, findings: ScanResult) -> str:
    """The commands that let the user read all of a directory, and what will be written there later."""
    who = shlex.quote(findings.user)
    commands = [f"sudo setfacl -R -m u:{who}:rX,d:u:{who}:rX {shlex.quote(directory)}"]
    if findings.closed:
        commands.insert(0, f"sudo setfacl -m u:{who}:x {shlex.join(findings.closed)}")
    return " && ".join(commands)
