"""Accepting: the candidate that was reviewed becomes the database in force. No AIDE runs.

Nothing is looked at again, so whatever changed since the check is found by the next one. Whenever this is
killed, the old or the new database stands, whole, and the same can be asked for again.
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

from exporter.aide import files
from exporter.aide.database import digest, trust
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import complain, reason, say
from exporter.aide.summary import START, Outcome, Summary, load_summary, save
from exporter.probe import ProbeError

ID = re.compile(r"[0-9a-f]{64}")
_NEW = ".grid-exporter.new"
_CHUNK = 1024 * 1024


def accept(id_: str, paths: Paths) -> int:
    """Makes the candidate with this ID the database in force, and leaves the outcome.

    Returns:
        The exit status: 0 where it is in force now, 1 where it was refused.
    """
    if not ID.fullmatch(id_):
        return complain("not accepted", ProbeError("an ID has 64 hex digits", "sudo grid-exporter aide show"))
    try:
        with exclusive(paths, "accept"):
            outcome = attempt(id_, paths)
    except (ProbeError, OSError) as error:
        return complain("not accepted", error)
    if outcome.success:
        return say(f"accepted; the database before it is kept as {paths.previous}")
    return complain("not accepted", ProbeError(outcome.reason, "sudo grid-exporter aide show"))


def attempt(id_: str, paths: Paths) -> Outcome:
    """What `accept` does, to be called with the lock held; the outcome is on disk when it returns."""
    try:
        _accept(id_, paths)
        outcome = Outcome(success=True, timestamp=time.time(), id=id_)
    except (ProbeError, OSError, ValueError) as error:
        outcome = Outcome(success=False, timestamp=time.time(), id=id_, reason=reason(error))
    save(paths.outcome, outcome)
    return outcome


def _accept(id_: str, paths: Paths) -> None:
    """Verifies and replaces, in the database's own directory, whatever links are planted there.

    Raises:
        ProbeError: this candidate may not replace this database.
        OSError: a file could not be read or written.
        ValueError: something is not a regular file, or damaged.
    """
    summary = offered(id_, load_summary(paths.summary))
    database = Path(summary.database)
    with files.directory(database.parent) as where:
        with files.plain(database.name, within=where) as current:
            found = digest(current)
            if found not in {id_, summary.database_sha256}:
                raise ProbeError(f"{database} is not the database that was checked", START)
            if found != id_:
                trust(paths, database, found, id_)
                _replace(current, database.name, where, paths, id_)
        modified = os.stat(database.name, dir_fd=where, follow_symlinks=False).st_mtime
    trust(paths, database, id_)
    save(paths.summary, msgspec.structs.replace(summary, accepted=time.time(), database_timestamp=modified))


def offered(id_: str, summary: Summary | None) -> Summary:
    """The summary, where it is of a check that offers this candidate.

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
    """Puts the candidate in the place of the database, whose content is kept."""
    try:
        _copy(paths.candidate(id_), where, os.fstat(current.fileno()))
        with files.plain(_NEW, within=where) as written:
            if digest(written) != id_:
                raise ProbeError("the candidate is not the one that was reviewed", START)
        current.seek(0)
        with files.replacing(paths.previous, files.PRIVATE) as kept:
            shutil.copyfileobj(current, kept, _CHUNK)
        _still(current, name, where)
        os.replace(_NEW, name, src_dir_fd=where, dst_dir_fd=where)
    finally:
        files.remove(_NEW, where)
    os.fsync(where)


def _copy(candidate: Path, where: int, like: os.stat_result) -> None:
    """Writes the candidate beside the database, with that one's owner and mode and its own time."""
    with files.plain(candidate) as source, os.fdopen(files.create(_NEW, where), "wb") as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
        copy.flush()
        made = os.fstat(source.fileno()).st_mtime_ns
        os.utime(copy.fileno(), ns=(made, made))
        os.fchmod(copy.fileno(), stat.S_IMODE(like.st_mode))
        os.fchown(copy.fileno(), like.st_uid, like.st_gid)
        os.fsync(copy.fileno())


def _still(current: BufferedReader, name: str, where: int) -> None:
    """The one that was verified may have been replaced meanwhile, by an `aide --init` for instance."""
    before, now = os.fstat(current.fileno()), os.stat(name, dir_fd=where, follow_symlinks=False)
    if (before.st_dev, before.st_ino, before.st_mtime_ns) != (now.st_dev, now.st_ino, now.st_mtime_ns):
        raise ProbeError("the database was replaced meanwhile", START)
