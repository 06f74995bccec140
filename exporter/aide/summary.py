"""What root's commands write for people and for the exporter: JSON files, replaced as a whole.

All times are Unix seconds. Names of files are written as `exporter.aide.aide_report.visible` spells them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from exporter.system import files

Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Change = Literal["added", "removed", "changed"]

START = "sudo systemctl start grid-aide-check"

_LIMIT = 32 * 1024 * 1024

_T = TypeVar("_T")


class Finding(msgspec.Struct, frozen=True):
    """One difference between the database and the file system.

    kind: AIDE's letter for the type of file (f, d, l, …). attributes: what differs, before and after; None
    where AIDE has no value for that side.
    """

    change: Change
    path: str
    kind: str = "?"
    attributes: dict[str, tuple[str | None, str | None]] = {}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The last check. A failed one has no ID, no counts and no findings: nothing of it can be accepted.

    id: SHA-256 of the candidate database. unlisted: how many findings there are beyond those listed.
    database: the active database, its SHA-256 and its mtime. accepted: when the candidate became that
    database.
    """

    success: bool
    started: Moment
    ended: Moment
    reason: str = ""
    hint: str = ""
    exit_code: int | None = None
    id: Digest = ""
    total: Count = 0
    added: Count = 0
    removed: Count = 0
    changed: Count = 0
    findings: tuple[Finding, ...] = ()
    unlisted: Count = 0
    warnings: tuple[str, ...] = ()
    database: str = ""
    database_sha256: Digest = ""
    database_timestamp: Moment | None = None
    accepted: Moment | None = None

    @property
    def clean(self) -> bool:
        """Whether the check succeeded and found no difference."""
        return self.success and not (self.added or self.removed or self.changed)

    @property
    def settled(self) -> bool:
        """Whether nothing that the check found waits for a person: it is clean, or was accepted since."""
        return self.clean or self.accepted is not None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the last attempt to accept a database ended. id: the requested one; empty where it was no ID."""

    success: bool
    timestamp: Moment
    id: Digest = ""
    reason: str = ""


def read_json(path: Path) -> bytes:
    """What a command wrote, byte for byte.

    Raises:
        OSError: it can't be read, is no regular file, or is absurdly large.
    """
    return files.read(path, _LIMIT, follow_links=False)


def load(path: Path, kind: type[_T]) -> _T | None:
    """Decodes what a command wrote; None where it wrote nothing yet.

    Raises as `read_json`, and:
        ValueError: it is damaged.
    """
    try:
        return msgspec.json.decode(read_json(path), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error


def load_summary(path: Path) -> Summary | None:
    """The last check's summary; None where none has run yet. Raises as `load`."""
    return load(path, Summary)


def load_outcome(path: Path) -> Outcome | None:
    """The outcome of the last attempt to accept; None where there was none. Raises as `load`."""
    return load(path, Outcome)


def save(path: Path, value: Summary | Outcome) -> None:
    """Writes a summary or an outcome, whole or not at all."""
    files.write(path, msgspec.json.encode(value) + b"\n")
