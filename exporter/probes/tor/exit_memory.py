"""Remembers Tor's exit over a restart, so that its next change is known as one.

It is kept in a small file in systemd's ``$STATE_DIRECTORY``. Without one, or with one that can't be used, a
restart forgets the exit and nothing else suffers.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from exporter.probe import Note

SIZE_LIMIT = 256
HINT = "see that the directory belongs to the exporter's user (StateDirectory= in its unit)"


class LastExit(msgspec.Struct, frozen=True):
    """The exit that was seen last.

    changed: when it was first seen in another one's place, Unix time; None before the first change.
    """

    address: str
    changed: float | None = None


class ExitMemory:
    """The last exit, in memory and, where there is a ``path``, in that file.

    warnings: why the file can't be used, for a person; empty while it can.
    """

    def __init__(self, path: Path | None) -> None:
        self.warnings: tuple[Note, ...] = ()
        self._path = path
        self._last = _read(path) if path else None

    @property
    def changed(self) -> float | None:
        """When the exit last changed, Unix time; None where no change was seen."""
        return self._last.changed if self._last else None

    def record(self, address: str, now: float) -> None:
        """Records that ``address`` was the exit at ``now``, Unix time."""
        if self._last is None:
            self._last = LastExit(address)
        elif self._last.address != address:
            self._last = LastExit(address, now)
        elif not self.warnings:
            return
        if self._path:
            self._write(self._path, self._last)

    def _write(self, path: Path, last: LastExit) -> None:
        """Writes a temporary file and renames it, so that the file is whole at any time."""
        temporary = path.with_name(f"{path.name}.new")
        try:
            temporary.write_bytes(msgspec.json.encode(last))
            temporary.replace(path)
            self.warnings = ()
        except OSError as error:
            self.warnings = (Note(f"Tor's exit could not be written to {path}: {error.strerror}", HINT),)


def _read(path: Path) -> LastExit | None:
    """The exit in the file; None where there is no file, or it is unreadable or invalid."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(SIZE_LIMIT), type=LastExit)
    except (OSError, ValueError):
        return None
