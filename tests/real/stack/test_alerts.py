"""From a trouble on the box to the phone, and to its end, through a real Prometheus and Alertmanager."""

from __future__ import annotations

import json
import signal
import urllib.request

import pytest

from tests.real.stack.incidents import ALERTS
from tests.real.stack.observatory import Observatory
from tests.real.stack.timeline import Timeline

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "mount", "umount"),
    pytest.mark.timeout(300),
]
EACH = [(domain, alert) for domain, alerts in ALERTS.items() for alert in alerts]


@pytest.mark.parametrize(("domain", "alert"), EACH)
def test_incident_reaches_the_phone_and_ends(
    seen: Observatory, times: Timeline, domain: str, alert: str
) -> None:
    """Each domain's trouble is told as it begins and as it ends, by its name, to whom it concerns."""
    told = [(to, it) for to, it in seen.sent if it["labels"]["alertname"] == alert]
    assert [it["status"] for _, it in told][:1] == ["firing"]
    assert told[-1][1]["status"] == "resolved"
    receiver = {"critical": "phone-loud", "warning": "phone", "info": "email"}
    for to, it in told:
        assert (it["labels"]["instance"], it["labels"]["domain"]) == ("demo", domain)
        assert to == receiver[it["labels"]["severity"]]
        assert it["annotations"]["summary"].startswith("demo")
        assert it["annotations"]["runbook_url"].endswith(f"/{alert}.md")


def test_nothing_else_was_told_while_all_was_well(seen: Observatory, times: Timeline) -> None:
    """Before anything was broken no alert fired."""
    assert seen.query(f'max_over_time(ALERTS{{alertstate="firing"}}[10s] @ {times.still_well})') == []


def test_silent_box_is_told_alone(seen: Observatory, times: Timeline) -> None:
    """A box that does not answer fires one alert; what else was wrong with it is kept from the phone."""
    seen.box.container("vllm", health="unhealthy")
    assert seen.wait_for('ALERTS{alertname="GridContainerUnhealthy",alertstate="firing"}')
    seen.exporter.process.send_signal(signal.SIGSTOP)
    try:
        assert seen.wait(lambda: seen.was_sent("GridExporterDown", "firing"))
        assert seen.wait(lambda: "GridContainerUnhealthy" in inhibited(seen))
    finally:
        seen.exporter.process.send_signal(signal.SIGCONT)
        seen.box.container("vllm", health="healthy")
    assert seen.wait(lambda: seen.was_sent("GridExporterDown", "resolved"))


def inhibited(seen: Observatory) -> set[str]:
    """The alerts that Alertmanager keeps to itself because of others."""
    with urllib.request.urlopen(f"{seen.alertmanager.url}/api/v2/alerts") as response:
        alerts = json.load(response)
    return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}
