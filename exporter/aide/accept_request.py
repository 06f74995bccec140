"""The one request that the exporter can pass to root: that a certain ID be accepted.

The exporter writes it to its runtime directory; a path unit of systemd then starts `accept_request` as root,
which treats whatever is there as hostile, and accepts only with a person's proof.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import Annotated

import msgspec

from exporter.aide import proof
from exporter.aide.accept import attempt, offered
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import describe, print_error, print_line
from exporter.aide.summary import Outcome, load_summary, read_json, save
from exporter.probe import ProbeError
from exporter.system import files

NAME = "aide-accept"
RUNTIME = Path("/run/grid-exporter")

_REQUEST = re.compile(rb"([0-9a-f]{64}) ([0-9a-f]{64})\n?")
_LONGEST = 130


Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be accepted, and the proof that a person has reviewed it."""

    id: Hex
    proof: Hex


def runtime_directory() -> Path:
    """Where the exporter writes its request: systemd's ``$RUNTIME_DIRECTORY`` (the first of several)."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or RUNTIME)


def leave(runtime: Path, request: Request) -> None:
    """Writes the request, whole or not at all: the exporter's part.

    Raises:
        FileExistsError: one is waiting already.
        OSError: it cannot be written.
    """
    with files.open_directory(runtime) as where:
        new = f".{NAME}.{secrets.token_hex(8)}"  # another request may be left at the same time
        with os.fdopen(files.create(new, where), "wb") as file:
            file.write(f"{request.id} {request.proof}\n".encode())
        try:
            os.link(new, NAME, src_dir_fd=where, dst_dir_fd=where)
        finally:
            files.remove(new, where)


def waiting(runtime: Path) -> bool:
    """Whether a request was written and not yet taken."""
    return os.path.lexists(runtime / NAME)


def accept_request(paths: Paths, runtime: Path = RUNTIME, key_file: Path = proof.KEY_FILE) -> int:
    """Takes the request that the exporter left and, with a valid proof, accepts: the root service's part.

    It waits for a running check, which makes the request stale; the outcome then reports that.

    Returns:
        The exit status: 0 where the outcome was written, whatever it is; 1 where it could not be, or there is
        no request.
    """
    try:
        request = _taken(runtime)
        with exclusive(paths, "accept", wait=True):
            outcome = _answer(request, paths, key_file)
    except (ProbeError, OSError) as error:
        return print_error("not accepted", error)
    return print_line(f"accepted {outcome.id}" if outcome.success else f"refused: {outcome.reason}")


def _taken(runtime: Path) -> Request | ValueError:
    try:
        return take(runtime)
    except ValueError as error:
        return error


def _answer(request: Request | ValueError, paths: Paths, key_file: Path) -> Outcome:
    """Verifies the proof and accepts, with the lock held; the outcome is on disk when it returns."""
    id_ = ""
    try:
        if isinstance(request, ValueError):
            raise request
        id_ = request.id
        _verify(request, paths, key_file)
    except (ProbeError, OSError, ValueError) as error:
        outcome = Outcome(success=False, timestamp=time.time(), id=id_, reason=describe(error))
        save(paths.outcome, outcome)
        return outcome
    return attempt(id_, paths)


def _verify(request: Request, paths: Paths, key_file: Path) -> None:
    summary = offered(request.id, load_summary(paths.summary))
    if summary.unlisted:
        raise ProbeError(f"{summary.unlisted} findings are not in the summary: review and accept on the box")
    proof.verify(request.proof, read_json(paths.summary), key_file)


def take(runtime: Path) -> Request:
    """Returns the request, and removes whatever was there.

    Raises:
        ValueError: it is no request: a link, no regular file, too long, or anything but twice 64 hex digits.
            The message repeats nothing of it.
        OSError: there is none, or it cannot be removed and would come again and again.
    """
    with files.open_directory(runtime) as where:
        try:
            return _read(where)
        finally:
            _clear(where)


def _read(where: int) -> Request:
    try:
        with files.open_regular(NAME, within=where) as file:
            data = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"the request cannot be read: {error.strerror}") from error
    request = _REQUEST.fullmatch(data)
    if not request:
        raise ValueError("the request is not an ID and a proof, of 64 hex digits each")
    return Request(*(part.decode() for part in request.groups()))


def _clear(where: int) -> None:
    """Removes it; a directory, which may be full, is renamed at least."""
    try:
        files.remove(NAME, where)
    except (IsADirectoryError, PermissionError):
        temporary = f".{NAME}.{secrets.token_hex(8)}"
        os.rename(NAME, temporary, src_dir_fd=where, dst_dir_fd=where)
        with contextlib.suppress(OSError):
            os.rmdir(temporary, dir_fd=where)
