"""Accepting: the candidate that was reviewed becomes the active database. No AIDE runs.

No file is compared again, so whatever changed since the check is found by the next one. Whenever this is
killed, either the old or the new database is in place, whole, and the same can be accepted again.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from io import BufferedReader
from pathlib import Path

import msgspec

from exporter.aide.database import digest, trust
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import describe, print_error, print_line
from exporter.aide.summary import START, Outcome, Summary, load_summary, save
from exporter.probe import ProbeError
from exporter.system import files

ID = re.compile(r"[0-9a-f]{64}")
_NEW = ".grid-exporter.new"
_SHOW = "sudo grid-exporter aide show"
_CHUNK = 1024 * 1024


def accept(id_: str, paths: Paths) -> int:
    """Makes the candidate with this ID the active database, and writes the outcome.

    Returns:
        The exit status: 0 where it is active now, 1 where it was refused.
    """
    if not ID.fullmatch(id_):
        return print_error("not accepted", ProbeError("an ID has 64 hex digits", _SHOW))
    try:
        with exclusive(paths, "accept"):
            outcome = attempt(id_, paths)
    except (ProbeError, OSError) as error:
        return print_error("not accepted", error)
    if outcome.success:
        return print_line(f"accepted; the previous database is kept as {paths.previous}")
    return print_error("not accepted", ProbeError(outcome.reason, _SHOW))


def attempt(id_: str, paths: Paths) -> Outcome:
    """Does what `accept` does, with the lock held by the caller; the outcome is on disk when it returns."""
    try:
        _accept(id_, paths)
        outcome = Outcome(success=True, timestamp=time.time(), id=id_)
    except (ProbeError, OSError, ValueError) as error:
        outcome = Outcome(success=False, timestamp=time.time(), id=id_, reason=describe(error))
    save(paths.outcome, outcome)
    return outcome


def _accept(id_: str, paths: Paths) -> None:
    """Verifies and replaces the database within its own directory, whatever links are planted there.

    Raises:
        ProbeError: this candidate may not replace this database.
        OSError: a file could not be read or written.
        ValueError: the summary is damaged.
    """
    summary = offered(id_, load_summary(paths.summary))
    database = Path(summary.database)
    with files.open_directory(database.parent) as where:
        with files.open_regular(database.name, within=where) as current:
            active = digest(current)
            if active not in {id_, summary.database_sha256}:
                raise ProbeError(f"{database} is not the database that was checked", START)
            if active != id_:
                trust(paths, database, active, id_)
                _replace(current, database.name, where, paths, id_)
        modified = os.stat(database.name, dir_fd=where, follow_symlinks=False).st_mtime
    trust(paths, database, id_)
    save(paths.summary, msgspec.structs.replace(summary, accepted=time.time(), database_timestamp=modified))


def offered(id_: str, summary: Summary | None) -> Summary:
    """Returns the summary, where its check offers this candidate.

    Raises:
        ProbeError: it offers another one, or none.
    """
    if summary is None:
        raise ProbeError("no check has run yet", START)
    if not summary.success:
        raise ProbeError(f"the last check failed: {summary.reason}", START)
    if summary.id != id_:
        raise ProbeError("that is not the ID of the last check", "review what it found, and accept its ID")
    return summary


def _replace(current: BufferedReader, name: str, where: int, paths: Paths, id_: str) -> None:
    """Replaces the database by the candidate, and keeps the old content as the previous database."""
    try:
        _copy(paths.candidate(id_), where, os.fstat(current.fileno()))
        with files.open_regular(_NEW, within=where) as written:
            if digest(written) != id_:
                raise ProbeError("the candidate is not the one that was reviewed", START)
        current.seek(0)
        with files.replacing(paths.previous, files.PRIVATE) as kept:
            shutil.copyfileobj(current, kept, _CHUNK)
        _refuse_replaced(current, name, where)
        os.replace(_NEW, name, src_dir_fd=where, dst_dir_fd=where)
    finally:
        files.remove(_NEW, where)
    os.fsync(where)


def _copy(candidate: Path, where: int, like: os.stat_result) -> None:
    """Writes the candidate beside the database, with the database's owner and mode and its own mtime."""
    with files.open_regular(candidate) as source, os.fdopen(files.create(_NEW, where), "wb") as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
        copy.flush()
        made = os.fstat(source.fileno()).st_mtime_ns
        os.utime(copy.fileno(), ns=(made, made))
        os.fchmod(copy.fileno(), stat.S_IMODE(like.st_mode))
        os.fchown(copy.fileno(), like.st_uid, like.st_gid)
        os.fsync(copy.fileno())


def _refuse_replaced(current: BufferedReader, name: str, where: int) -> None:
    """Refuses a database that was replaced since it was verified, by an `aide --init` for instance."""
    before, now = os.fstat(current.fileno()), os.stat(name, dir_fd=where, follow_symlinks=False)
    if (before.st_dev, before.st_ino, before.st_mtime_ns) != (now.st_dev, now.st_ino, now.st_mtime_ns):
        raise ProbeError("the database was replaced meanwhile", START)
