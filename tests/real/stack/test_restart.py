"""Prometheus and Alertmanager restart while alerts fire: no end is sent that was none, and nothing twice."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from prometheus.stack import programs
from prometheus.stack.program import Program
from tests.real.stack import incidents
from tests.real.stack.observatory import TIMEOUT, Observatory, observing

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "mount", "umount"),
    pytest.mark.timeout(600),
]
# Alerts that last as long as the box is as it is.
LASTING = {
    "GridGpuHot", "GridGpuEccUncorrected", "GridMemoryNearlyOut", "GridDirectoryUnreadable", "GridDiskFull",
    "GridTorDown", "GridContainerUnhealthy", "GridServiceFailed", "GridServiceInactive", "GridAideFindings",
}  # fmt: skip
TIMES = 10  # ranges are shorter by that: the gap that alerts bridge is a minute, ample for a restart
# Alertmanager takes an alert for ended that Prometheus has not sent for four delays. One that waited anew
# would wait for longer than that, as those of five minutes do with Prometheus's own delay of one.
WAIT = "40s"
FLAGS = ("--rules.alert.for-grace-period=6s", "--rules.alert.resend-delay=8s")


def started_at(seen: Observatory) -> dict[str, str]:
    """When Alertmanager takes each lasting alert to have begun; a new time means that it had ended."""
    return {
        alert["fingerprint"]: alert["startsAt"]
        for alert in seen.alerts()
        if alert["labels"]["alertname"] in LASTING
    }


def sent(seen: Observatory) -> Counter[tuple[str, str]]:
    """How often each lasting alert was sent, by its name and status; each has one series on this box."""
    names = [(alert["labels"]["alertname"], alert["status"]) for _, alert in list(seen.sent)]
    return Counter((name, status) for name, status in names if name in LASTING)


def stop(program: Program) -> None:
    """Ends a program as systemd does."""
    program.process.terminate()
    program.process.wait(TIMEOUT)


def test_nothing_ends_when_prometheus_and_alertmanager_restart(tmp_path: Path) -> None:
    """Each alert is sent once as it begins and once as it ends, whatever restarts in between."""
    with observing(tmp_path, TIMES, WAIT, FLAGS) as seen:
        incidents.begin(seen)
        assert seen.wait(lambda: sent(seen).keys() >= {(name, "firing") for name in LASTING}, 2 * TIMEOUT)
        before = started_at(seen)

        stop(seen.prometheus)
        restarted = time.time()
        with programs.prometheus(tmp_path, seen.prometheus.address, FLAGS) as seen.prometheus:
            lasting = f'ALERTS{{alertstate="firing",alertname=~"{"|".join(LASTING)}"}}'
            again = f"count(timestamp({lasting}) > {restarted}) >= {len(before)}"
            assert seen.wait(lambda: seen.query(again), 2 * TIMEOUT)
            assert seen.wait(lambda: started_at(seen) == before)

            stop(seen.alertmanager)
            with programs.alertmanager(tmp_path, seen.alertmanager.address) as seen.alertmanager:
                assert seen.wait(lambda: started_at(seen).keys() == before.keys())
                assert sent(seen) == Counter({(name, "firing"): 1 for name in LASTING})

                incidents.end(seen)
                # Those that stay do so from a minute after Prometheus's start on.
                ended = {(name, "resolved") for name in LASTING}
                assert seen.wait(lambda: sent(seen).keys() >= ended, 4 * TIMEOUT)
                assert set(sent(seen).values()) == {1}
