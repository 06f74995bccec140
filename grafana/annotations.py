"""Marks on the charts: when something happened.

Each asks for moments that stand in a series' values, which are exact at any zoom. The series' own samples
would not do: what is true for two minutes is lost between a week's steps.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from grafana import value_mappings
from grafana.sdk import SOURCE, Panel
from prometheus.health import CHOSEN


def reboots() -> build.AnnotationQuery:
    """When a box came up."""
    mark = _mark("Reboots", f"grid_boot_timestamp_seconds{{{CHOSEN}}} * 1000", value_mappings.NEUTRAL)
    return mark.title_format("Reboot").text_format("{{instance}} came up")


def alerts(domains: str = ".*") -> build.AnnotationQuery:
    """When what an alert that fires tells of began. ``domains``: a regular expression for its label."""
    chosen = f'domain=~"{domains}", {CHOSEN}'
    since = f"ALERTS_FOR_STATE{{{chosen}}} * 1000"
    mark = _mark(
        "Alerts",
        f'{since} and ignoring (alertstate) ALERTS{{alertstate="firing", {chosen}}}',
        value_mappings.ACT,
    )
    what = "{{instance}} {{container}}{{name}}{{gpu}}{{probe}}{{path}}{{mountpoint}}"
    return mark.title_format("{{alertname}}").text_format(what)


def exit_changes() -> build.AnnotationQuery:
    """When Tor's exit changed: often."""
    times = f"grid_tor_exit_changed_timestamp_seconds{{{CHOSEN}}} * 1000"
    mark = off_at_first(_mark("Exit changes", times, "super-light-blue"))
    return mark.title_format("New Tor exit").text_format("{{instance}}")


def off_at_first(mark: build.AnnotationQuery) -> build.AnnotationQuery:
    """Leaves a mark to be switched on, where there are too many to see anything else."""
    return mark.enable(enable=False)


def only_on(panel: Panel, mark: build.AnnotationQuery) -> build.AnnotationQuery:
    """Keeps a mark to one panel, which is placed already."""
    if panel.id_val is None:
        raise ValueError(f"{panel.title} has no place yet")
    return mark.filter(build.AnnotationPanelFilter().exclude(exclude=False).ids([panel.id_val]))


def _mark(name: str, times: str, colour: str) -> build.AnnotationQuery:
    mark = build.AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour)
    return mark.expr(times).step("60s").use_value_for_time(use_value_for_time=True)
