"""What the watched box goes through, once; the tests then look back at it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from tests.real.stack import incidents
from tests.real.stack.observatory import Observatory

RANGE = 20  # seconds that dashboards look back over
FIRING = 'ALERTS{alertstate="firing",alertname!="GridWatchdog"}'
WINDOW = 6  # seconds that are compared with others


@dataclass(frozen=True, slots=True)
class Timeline:
    """When things were so, in Unix time.

    healthy: nothing had failed for the range of a dashboard. still_healthy: a window later.
    begun: the box was broken. broken: every alert had been sent, or had been given time to.
    repaired: the same of the end. down: its exporter had stopped to answer, and one container been unhealthy.
    inhibited: the alerts that Alertmanager then did not send.
    """

    healthy: float
    still_healthy: float
    begun: float
    broken: float
    repaired: float
    down: float
    inhibited: frozenset[str]


def lived(seen: Observatory) -> Timeline:
    """Goes through it all."""
    seen.wait_for(f'count_over_time(up{{job="grid"}}[{RANGE}s]) >= {RANGE - 2}')
    seen.wait_for(f'min(min_over_time(grid_probe_success{{job="grid"}}[{RANGE // 2}s])) == 1')
    seen.wait_for(f"absent({FIRING})")
    healthy = time.time()
    seen.wait(lambda: time.time() > healthy + WINDOW + 1)
    still_healthy = time.time()
    incidents.begin(seen)
    _wait_for_all(seen, "firing")
    seen.wait(lambda: time.time() > still_healthy + RANGE)
    broken = time.time()
    incidents.end(seen)
    _wait_for_all(seen, "resolved")
    repaired = time.time()
    return Timeline(healthy, still_healthy, still_healthy, broken, repaired, *_stop_answering(seen))


def _stop_answering(seen: Observatory) -> tuple[float, frozenset[str]]:
    """Stops the exporter for a while, right after a container began to be unhealthy."""
    seen.box.container("vllm", health="unhealthy")
    seen.wait_for('ALERTS{alertname="GridContainerUnhealthy",alertstate="firing"}')
    seen.exporter.process.send_signal(signal.SIGSTOP)
    try:
        seen.wait(lambda: seen.was_sent("GridExporterDown", "firing"))
        seen.wait(seen.inhibited)
        # The scrape under way will succeed, and count from when it began.
        return time.time() - 2, frozenset(seen.inhibited())
    finally:
        seen.exporter.process.send_signal(signal.SIGCONT)
        seen.box.container("vllm", health="healthy")
        seen.wait(lambda: seen.was_sent("GridExporterDown", "resolved"))


def _wait_for_all(seen: Observatory, status: str) -> None:
    alerts = [alert for several in incidents.ALERTS.values() for alert in several]
    seen.wait(lambda: all(seen.was_sent(alert, status) for alert in alerts))
