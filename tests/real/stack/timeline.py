"""What the watched box goes through, once; the tests then look back at it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.real.stack import incidents
from tests.real.stack.observatory import Observatory

RANGE = 20  # seconds that dashboards look back over
WINDOW = 6  # seconds that are compared with others


@dataclass(frozen=True, slots=True)
class Timeline:
    """When things were so, in Unix time.

    well: all had been well for the range of a dashboard. still_well: a window later.
    begun: the box was broken. broken: the phone knew, or had been given time to.
    mended: the same of the end.
    """

    well: float
    still_well: float
    begun: float
    broken: float
    mended: float


def lived(seen: Observatory) -> Timeline:
    """Goes through it all."""
    seen.wait_for(f'count_over_time(up{{job="grid"}}[{RANGE}s]) >= {RANGE - 2}')
    seen.wait_for(f'min(min_over_time(grid_probe_success{{job="grid"}}[{RANGE // 2}s])) == 1')
    seen.wait_for('absent(ALERTS{alertstate="firing"})')
    well = time.time()
    seen.wait(lambda: time.time() > well + WINDOW + 1)
    still_well = time.time()
    incidents.begin(seen)
    _wait_for_all(seen, "firing")
    seen.wait(lambda: time.time() > still_well + RANGE)
    broken = time.time()
    incidents.end(seen)
    _wait_for_all(seen, "resolved")
    return Timeline(well, still_well, still_well, broken, time.time())


def _wait_for_all(seen: Observatory, status: str) -> None:
    alerts = [alert for several in incidents.ALERTS.values() for alert in several]
    seen.wait(lambda: all(seen.was_sent(alert, status) for alert in alerts))
