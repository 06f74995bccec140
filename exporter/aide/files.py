"""Where AIDE's checks keep what they know."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

PLAIN = re.compile(r"(/[A-Za-z0-9._-]+)+")
# In these systemd shows every unit with a sandbox, as the check has one, something of its own.
SANDBOXES = ("/run/credentials", "/run/systemd/incoming", "/run/systemd/propagate")


class Paths(Struct, frozen=True):
    """The files of the checks. ``state`` is root's; the exporter's group may read it, but not ``private``."""

    state: Path = Path("/var/lib/grid-exporter-aide")

    def __post_init__(self) -> None:
        """Refuses what would need quoting in AIDE's configuration, which can't quote everything."""
        if not PLAIN.fullmatch(str(self.state)):
            raise ValueError(f"expected an absolute path of plain characters, got {str(self.state)!r}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """Directories that no check compares: its own, which changes with each check, and the sandboxes'."""
        return (str(self.state), *SANDBOXES)

    @property
    def summary(self) -> Path:
        """What the last check found."""
        return self.state / "summary.json"

    @property
    def outcome(self) -> Path:
        """How the last attempt to accept ended."""
        return self.state / "outcome.json"

    @property
    def running(self) -> Path:
        """Which command is running, and as which process."""
        return self.state / "running.json"

    @property
    def private(self) -> Path:
        """What only root may read: databases hold every file's name and digest."""
        return self.state / "private"

    @property
    def lock(self) -> Path:
        """Held by the one command that may change anything here."""
        return self.private / "lock"

    @property
    def trusted(self) -> Path:
        """The digest of the active database, as last checked or accepted."""
        return self.private / "trusted.json"

    @property
    def previous(self) -> Path:
        """The database that the last accepted one replaced."""
        return self.private / "previous.db"

    @property
    def work(self) -> Path:
        """What a running check writes."""
        return self.private / "work"

    def candidate(self, id_: str) -> Path:
        """The database that a check wrote and a person may accept."""
        return self.private / f"{id_}.db"

    def report(self, id_: str) -> Path:
        """AIDE's own report of that check, complete."""
        return self.private / f"{id_}.json"
