"""The rule files, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from prometheus import recording
from prometheus.alert import Alert
from prometheus.alerts import alerts
from prometheus.settings import Settings

HEADER = "# Written by `python -m prometheus` from {source}: change that, not this.\n"
ENDLESS = 10**6  # no line is broken: a template cut in two is hard to read


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as a block."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def files(settings: Settings | None = None) -> dict[str, str]:
    """Every file of prometheus/rules: its text by its name."""
    settings = settings or Settings()
    recorded = [{"name": "grid", "rules": recording.rules()}]
    alerting = [
        {"name": f"grid-{domain}", "rules": list(_rules(domain, group, settings))}
        for domain, group in alerts().items()
    ]
    return {
        "recording.yml": _text("prometheus/recording.py", recorded),
        "alerts.yml": _text("prometheus/alerts/", alerting),
    }


def _rules(domain: str, group: list[Alert], settings: Settings) -> Iterator[dict[str, Any]]:
    """The rules of a domain's alerts, without those that are off."""
    for alert in group:
        if severity := settings.severity(alert.name, alert.severity):
            links = settings.grafana.rstrip("/"), settings.runbooks.rstrip("/")
            yield replace(alert, severity=severity).rule(domain, *links)


def _text(source: str, groups: list[dict[str, Any]]) -> str:
    body = yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=ENDLESS, allow_unicode=True)
    return HEADER.format(source=source) + body
