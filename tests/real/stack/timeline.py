"""What the watched box goes through, once; the tests then look back at it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from tests.real.stack import incidents
from tests.real.stack.observatory import Observatory

RANGE = 20  # seconds that dashboards look back over
FIRING = 'ALERTS{alertstate="firing"}'
WINDOW = 6  # seconds that are compared with others


@dataclass(frozen=True, slots=True)
class Timeline:
    """When things were so, in Unix time.

    well: all had been well for the range of a dashboard. still_well: a window later.
    begun: the box was broken. broken: the phone knew, or had been given time to.
    mended: the same of the end. silent: its exporter had stopped to answer, and one container been unhealthy.
    withheld: the alerts that Alertmanager then kept from the phone.
    """

    well: float
    still_well: float
    begun: float
    broken: float
    mended: float
    silent: float
    withheld: frozenset[str]


def lived(seen: Observatory) -> Timeline:
    """Goes through it all."""
    seen.wait_for(f'count_over_time(up{{job="grid"}}[{RANGE}s]) >= {RANGE - 2}')
    seen.wait_for(f'min(min_over_time(grid_probe_success{{job="grid"}}[{RANGE // 2}s])) == 1')
    seen.wait_for(f"absent({FIRING})")
    well = time.time()
    seen.wait(lambda: time.time() > well + WINDOW + 1)
    still_well = time.time()
    incidents.begin(seen)
    _wait_for_all(seen, "firing")
    seen.wait(lambda: time.time() > still_well + RANGE)
    broken = time.time()
    incidents.end(seen)
    _wait_for_all(seen, "resolved")
    mended = time.time()
    return Timeline(well, still_well, still_well, broken, mended, *_silence(seen))


def _silence(seen: Observatory) -> tuple[float, frozenset[str]]:
    """Stops the exporter for a while, right after a container began to be unhealthy."""
    seen.box.container("vllm", health="unhealthy")
    seen.wait_for('ALERTS{alertname="GridContainerUnhealthy",alertstate="firing"}')
    seen.exporter.process.send_signal(signal.SIGSTOP)
    try:
        seen.wait(lambda: seen.was_sent("GridExporterDown", "firing"))
        seen.wait(seen.withheld)
        # The scrape under way will end well, and count from when it began.
        return time.time() - 2, frozenset(seen.withheld())
    finally:
        seen.exporter.process.send_signal(signal.SIGCONT)
        seen.box.container("vllm", health="healthy")
        seen.wait(lambda: seen.was_sent("GridExporterDown", "resolved"))


def _wait_for_all(seen: Observatory, status: str) -> None:
    alerts = [alert for several in incidents.ALERTS.values() for alert in several]
    seen.wait(lambda: all(seen.was_sent(alert, status) for alert in alerts))
