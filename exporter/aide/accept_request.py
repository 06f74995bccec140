"""The one request that the exporter can pass to root: that a certain ID be accepted.

The exporter writes it to its runtime directory; a path unit of systemd then starts `accept_request` as root,
which treats whatever is there as hostile.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

from exporter.aide.accept import attempt
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import print_error, print_line
from exporter.aide.summary import Outcome, save
from exporter.probe import ProbeError
from exporter.system import files

NAME = "aide-accept"
RUNTIME = Path("/run/grid-exporter")

_REQUEST = re.compile(rb"([0-9a-f]{64})\n?")
_LONGEST = 65


def runtime_directory() -> Path:
    """Where the exporter writes its request: systemd's ``$RUNTIME_DIRECTORY`` (the first of several)."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or RUNTIME)


def leave(runtime: Path, id_: str) -> None:
    """Writes the request, whole or not at all: the exporter's part.

    Raises:
        FileExistsError: one is waiting already.
        OSError: it cannot be written.
    """
    with files.open_directory(runtime) as where:
        new = f".{NAME}.{secrets.token_hex(8)}"  # another request may be left at the same time
        with os.fdopen(files.create(new, where), "wb") as file:
            file.write(f"{id_}\n".encode())
        try:
            os.link(new, NAME, src_dir_fd=where, dst_dir_fd=where)
        finally:
            files.remove(new, where)


def waiting(runtime: Path) -> bool:
    """Whether a request was written and not yet taken."""
    return os.path.lexists(runtime / NAME)


def accept_request(paths: Paths, runtime: Path = RUNTIME) -> int:
    """Takes the request that the exporter left and does what `accept` does: the root service's part.

    It waits for a running check, which makes the request stale; the outcome then reports that.

    Returns:
        The exit status: 0 where the outcome was written, whatever it is; 1 where it could not be, or there is
        no request.
    """
    try:
        id_, reason = _taken(runtime)
        with exclusive(paths, "accept", wait=True):
            outcome = attempt(id_, paths) if id_ else _refused(reason, paths)
    except (ProbeError, OSError) as error:
        return print_error("not accepted", error)
    return print_line(f"accepted {outcome.id}" if outcome.success else f"refused: {outcome.reason}")


def _taken(runtime: Path) -> tuple[str, str]:
    """The ID, or why there is none."""
    try:
        return take(runtime), ""
    except ValueError as error:
        return "", str(error)


def _refused(reason: str, paths: Paths) -> Outcome:
    outcome = Outcome(success=False, timestamp=time.time(), reason=reason)
    save(paths.outcome, outcome)
    return outcome


def take(runtime: Path) -> str:
    """Returns the requested ID, and removes whatever was there.

    Raises:
        ValueError: it is no request: a link, no regular file, too long, or anything but 64 hex digits. The
            message repeats nothing of it.
        OSError: there is none, or it cannot be removed and would come again and again.
    """
    with files.open_directory(runtime) as where:
        try:
            return _id(where)
        finally:
            _clear(where)


def _id(where: int) -> str:
    try:
        with files.open_regular(NAME, within=where) as file:
            data = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"the request cannot be read: {error.strerror}") from error
    request = _REQUEST.fullmatch(data)
    if not request:
        raise ValueError("the request is not an ID of 64 hex digits")
    return request[1].decode()


def _clear(where: int) -> None:
    """Removes it; a directory, which may be full, is renamed at least."""
    try:
        files.remove(NAME, where)
    except (IsADirectoryError, PermissionError):
        temporary = f".{NAME}.{secrets.token_hex(8)}"
        os.rename(NAME, temporary, src_dir_fd=where, dst_dir_fd=where)
        with contextlib.suppress(OSError):
            os.rmdir(temporary, dir_fd=where)
