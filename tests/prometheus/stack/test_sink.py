"""What would ring a phone is received here."""

from __future__ import annotations

import json
import urllib.request

from prometheus.stack.sink import Alert, in_words, received

ALERT: Alert = {
    "status": "firing",
    "labels": {"alertname": "GridGpuHot", "severity": "critical"},
    "annotations": {"summary": "vega: GPU 0 is at 93 °C"},
}


def test_every_alert_of_a_notification_is_taken() -> None:
    """The receiver's name is in the path that Alertmanager sends to."""
    taken: list[tuple[str, Alert]] = []
    with received(lambda to, alert: taken.append((to, alert))) as url:
        body = json.dumps({"alerts": [ALERT, ALERT]}).encode()
        with urllib.request.urlopen(f"{url}/phone-loud", body) as answer:
            assert answer.status == 200
    assert taken == [("phone-loud", ALERT)] * 2


def test_an_alert_is_one_line() -> None:
    """Its state, severity, name and summary."""
    assert in_words("phone-loud", ALERT) == (
        "firing   critical GridGpuHot: vega: GPU 0 is at 93 °C (to phone-loud)"
    )
