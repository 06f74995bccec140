"""The one thing that the web process can ask of root: that a certain ID be accepted.

It writes 64 hex digits into its runtime directory; a path unit of systemd then starts `accept_request` as
root, which takes what it finds there for the work of an enemy.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

from exporter.aide import files
from exporter.aide.accept import attempt
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import complain, say
from exporter.aide.summary import Outcome, save
from exporter.probe import ProbeError

NAME = "aide-accept"
RUNTIME = Path("/run/grid-exporter")

_REQUEST = re.compile(rb"([0-9a-f]{64})\n?")
_LONGEST = 65


def runtime_directory() -> Path:
    """Where the exporter writes: systemd's ``$RUNTIME_DIRECTORY`` (the first of several)."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or RUNTIME)


def ask(runtime: Path, id_: str) -> None:
    """Leaves the request, whole or not at all, for the exporter's part.

    Raises:
        FileExistsError: one is waiting already.
        OSError: it cannot be written.
    """
    with files.directory(runtime) as where:
        new = f".{NAME}.{secrets.token_hex(8)}"  # another request may be left at the same time
        with os.fdopen(files.create(new, where), "wb") as file:
            file.write(f"{id_}\n".encode())
        try:
            os.link(new, NAME, src_dir_fd=where, dst_dir_fd=where)
        finally:
            files.remove(new, where)


def waiting(runtime: Path) -> bool:
    """Whether a request was left and not yet taken."""
    return os.path.lexists(runtime / NAME)


def accept_request(paths: Paths, runtime: Path = RUNTIME) -> int:
    """Takes the request that the exporter left and does what `accept` does. For the root service alone.

    A check that is under way is waited for: it makes the request stale, and the outcome says so.

    Returns:
        The exit status: 0 where the outcome was left, whatever it is; 1 where it could not be, or none asked.
    """
    try:
        id_, reason = _taken(runtime)
        with exclusive(paths, "accept", wait=True):
            outcome = attempt(id_, paths) if id_ else _refused(reason, paths)
    except (ProbeError, OSError) as error:
        return complain("not accepted", error)
    return say(f"accepted {outcome.id}" if outcome.success else f"refused: {outcome.reason}")


def _taken(runtime: Path) -> tuple[str, str]:
    """The ID, or the reason why there is none."""
    try:
        return take(runtime), ""
    except ValueError as error:
        return "", str(error)


def _refused(reason: str, paths: Paths) -> Outcome:
    outcome = Outcome(success=False, timestamp=time.time(), reason=reason)
    save(paths.outcome, outcome)
    return outcome


def take(runtime: Path) -> str:
    """The ID that is asked for; whatever was left there is gone afterwards.

    Raises:
        ValueError: it is no request: a link, no regular file, too long, or anything but 64 hex digits. The
            text repeats nothing of it.
        OSError: there is none, or it cannot be removed, and would be found again and again.
    """
    with files.directory(runtime) as where:
        try:
            return _id(where)
        finally:
            _clear(where)


def _id(where: int) -> str:
    try:
        with files.plain(NAME, within=where) as file:
            data = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"the request is not a plain file: {error.strerror}") from error
    request = _REQUEST.fullmatch(data)
    if not request:
        raise ValueError("the request is not an ID of 64 hex digits")
    return request[1].decode()


def _clear(where: int) -> None:
    """A directory cannot be unlinked, and may be full: it goes out of the way."""
    try:
        files.remove(NAME, where)
    except (IsADirectoryError, PermissionError):
        temporary = f".{NAME}.{secrets.token_hex(8)}"
        os.rename(NAME, temporary, src_dir_fd=where, dst_dir_fd=where)
        with contextlib.suppress(OSError):
            os.rmdir(temporary, dir_fd=where)
