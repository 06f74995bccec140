"""From a trouble on the box to the phone, and to its end, through a real Prometheus and Alertmanager."""

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
    """Each domain's trouble is told as it begins and as it ends, by its name, to whom it concerns."""
    told = [(to, it) for to, it in seen.sent if it["labels"]["alertname"] == alert]
    statuses = [it["status"] for _, it in told]
    assert statuses[0] == "firing"
    assert "resolved" in statuses
    receiver = {"critical": "phone-loud", "warning": "phone", "info": "email"}
    for to, it in told:
        assert (it["labels"]["instance"], it["labels"]["domain"]) == ("demo", domain)
        assert to == receiver[it["labels"]["severity"]]
        assert it["annotations"]["summary"].startswith("demo")
        assert it["annotations"]["runbook_url"].endswith(f"/{alert}.md")


def test_nothing_else_was_told_while_all_was_well(seen: Observatory, times: Timeline) -> None:
    """Before anything was broken no alert fired."""
    assert seen.window(FIRING, times.well, times.still_well) == []


def test_silent_box_is_told_alone(seen: Observatory, times: Timeline) -> None:
    """A box that does not answer fires one alert; what else was wrong with it is kept from the phone."""
    told = [it["status"] for _, it in seen.sent if it["labels"]["alertname"] == "GridExporterDown"]
    assert told == ["firing", "resolved"]
    assert "GridContainerUnhealthy" in times.withheld
