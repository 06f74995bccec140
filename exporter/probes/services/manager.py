"""systemd's own state beside its units': asked for again when a unit came or went, and once a minute."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.probes.services import systemctl

PROPERTIES = ("NFailedUnits", "SystemState")
SETTLED = re.compile("^SystemState=(running|degraded)$", re.MULTILINE)  # others pass by themselves
STATES = re.compile("^(?:Id|ActiveState)=.*", re.MULTILINE)
OLDEST = 60.0  # seconds


class Systemd:
    """What systemctl shows of systemd and of units; a second process only where it can tell something new.

    One process can't show both: with the name of a unit ``systemctl show`` leaves systemd itself out.

    root: of the host's files. clock: monotonic seconds.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        # systemd keeps a link there for each unit that is up: a start, an end and a failure change it.
        self._links = root / "run/systemd/units"
        self._clock = clock
        self._manager = ""
        self._known: object = None  # what it was like when the manager's state was asked for
        self._states: list[str] = []
        self._expires_at = 0.0

    async def show(self, properties: Sequence[str], units: Sequence[str]) -> tuple[str, str]:
        """The output for systemd, which may be a minute old where nothing changed, and for these units.

        Raises:
            ProbeError: as `systemctl.show`.
        """
        known, now = self._changed_at(), self._clock()
        if known == self._known and now < self._expires_at:
            shown = await systemctl.show(properties, units)
            if STATES.findall(shown) == self._states:
                return self._manager, shown
            self._manager = await systemctl.show(PROPERTIES)
        else:
            self._manager, shown = await systemctl.show_both(PROPERTIES, properties, units)
        self._known, self._states = known, STATES.findall(shown)
        self._expires_at = now + OLDEST if SETTLED.search(self._manager) else 0.0
        return self._manager, shown

    def _changed_at(self) -> int | None:
        try:
            return self._links.stat().st_mtime_ns
        except OSError:  # a container that has only systemd's socket
            return None
