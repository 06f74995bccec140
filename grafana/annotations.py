"""Annotations on the charts.

Their times are the values of series, which are exact at any zoom: a sample that stands for two minutes would
be lost between the steps of a week.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from grafana import value_mappings
from grafana.alerts_table import described
from grafana.sdk import SOURCE, Panel
from prometheus.health import CHOSEN


def reboots() -> build.AnnotationQuery:
    """When a box came up."""
    annotation = _annotation(
        "Reboots", f"grid_boot_timestamp_seconds{{{CHOSEN}}} * 1000", value_mappings.NEUTRAL
    )
    return annotation.title_format("Reboot").text_format("{{instance}} came up")


def alerts(domains: str = ".*") -> build.AnnotationQuery:
    """When the firing alerts became pending. ``domains``: a regular expression for their label."""
    since = f'ALERTS_FOR_STATE{{domain=~"{domains}", {CHOSEN}}} * 1000'
    firing = f'ALERTS{{alertstate="firing", domain=~"{domains}", {CHOSEN}}}'
    # One label for what is affected: a template prints the name of a label that a series lacks.
    times = described(f"{since} and ignoring (alertstate) {firing}", "instance")
    annotation = _annotation("Alerts", times, value_mappings.CRITICAL)
    return annotation.title_format("{{event}}").text_format("{{what}}")


def exit_changes() -> build.AnnotationQuery:
    """When Tor's exit changed: often."""
    times = f"grid_tor_exit_changed_timestamp_seconds{{{CHOSEN}}} * 1000"
    annotation = off_by_default(_annotation("Exit changes", times, "super-light-blue"))
    return annotation.title_format("New Tor exit").text_format("{{instance}}")


def off_by_default(annotation: build.AnnotationQuery) -> build.AnnotationQuery:
    """Switches an annotation off until somebody switches it on."""
    return annotation.enable(enable=False)


def limited_to(panel: Panel, annotation: build.AnnotationQuery) -> build.AnnotationQuery:
    """Shows an annotation on one panel, which has an id already."""
    if panel.id_val is None:
        raise ValueError(f"{panel.title} has no place yet")
    return annotation.filter(build.AnnotationPanelFilter().exclude(exclude=False).ids([panel.id_val]))


def _annotation(name: str, times: str, colour: str) -> build.AnnotationQuery:
    annotation = build.AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour)
    return annotation.expr(times).step("60s").use_value_for_time(use_value_for_time=True)
