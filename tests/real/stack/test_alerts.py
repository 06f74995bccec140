"""From a fault on the box to the phone, and to its end, through a real Prometheus and Alertmanager."""

from __future__ import annotations

import pytest

from tests.real.stack.incidents import ALERTS
from tests.real.stack.observatory import Observatory
from tests.real.stack.timeline import FIRING, Timeline

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "mount", "umount"),
    pytest.mark.timeout(300),
]
EACH = [(domain, alert) for domain, alerts in ALERTS.items() for alert in alerts]


@pytest.mark.parametrize(("domain", "alert"), EACH)
def test_incident_reaches_the_phone_and_ends(
    seen: Observatory, times: Timeline, domain: str, alert: str
) -> None:
    """Each domain's alerts are sent as they begin and as they end, to their receiver, with links."""
    sent = [(to, it) for to, it in seen.sent if it["labels"]["alertname"] == alert]
    statuses = [it["status"] for _, it in sent]
    assert statuses[0] == "firing"
    assert "resolved" in statuses
    receiver = {"critical": "phone-loud", "warning": "phone", "info": "email"}
    for to, it in sent:
        assert (it["labels"]["instance"], it["labels"]["domain"]) == ("demo", domain)
        assert to == receiver[it["labels"]["severity"]]
        assert it["annotations"]["summary"].startswith("demo")
        assert it["annotations"]["runbook_url"].endswith(f"/{alert}.md")
        assert it["annotations"]["dashboard_url"].endswith(f"/d/grid-{domain}?var-instance=demo")


def test_a_healthy_box_fires_no_alert(seen: Observatory, times: Timeline) -> None:
    """Before anything was broken no alert fired."""
    assert seen.window(FIRING, times.healthy, times.still_healthy) == []


def test_a_box_that_is_down_is_one_alert(seen: Observatory, times: Timeline) -> None:
    """A box that does not answer fires one alert; what else was wrong with it is not sent."""
    statuses = [it["status"] for _, it in seen.sent if it["labels"]["alertname"] == "GridExporterDown"]
    assert statuses == ["firing", "resolved"]
    assert "GridContainerUnhealthy" in times.inhibited
