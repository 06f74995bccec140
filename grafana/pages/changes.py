"""Changes: what happened in the chosen range, and what is out of date."""

from __future__ import annotations

from grafana import value_mappings
from grafana.alerts_table import with_what
from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.links import to_box, to_moment
from grafana.sdk import Panel
from grafana.tables import Column, moment, number, table, text, text_of
from grafana.value_mappings import NO_VALUE, OFF, PLAIN

PAGE = "What changed in the chosen range, and what is out of date."
RANGE = "$__range"
FIRED = f"last_over_time(ALERTS_FOR_STATE{{BOX}}[{RANGE}])"
FIRING = f'last_over_time(ALERTS{{BOX, alertstate="firing"}}[{RANGE}])'
MODEL = 'grid_directory_entry_size_bytes{BOX, entry!="(other)"}'
DIRECTORY = "max by (instance, path) (grid_directory_info{BOX}"
OLD = 90 * 86400  # containers older than this are marked


def page() -> Page:
    """The page."""
    changes = Page("grid-changes", PAGE, since="24h", refresh="1m")
    changes.heading("What changed")
    changes.band(14, what_changed())
    changes.heading("Out of date")
    changes.band(5, versions())
    changes.band(10, images())
    changes.annotate(reboots(), alerts())
    return changes


def what_changed() -> Panel:
    """A row an event, newest first; each opens its page at that time."""
    events = " or ".join((*_alerts(), *_starts(), *_models(), *_exporter()))
    lasted = f'max_over_time(timestamp(ALERTS{{BOX, alertstate="firing"}})[{RANGE}:1m])'
    since = f"last_over_time(ALERTS_FOR_STATE{{BOX}}[{RANGE}])"
    return table(
        "What changed",
        "The latest event of each kind and thing, newest first. A click opens its page at that time.",
        moment("When", f"({events}) * 1000", 165),
        Column(title="Event", label="event", width=230, links=(to_moment(),)),
        Column(title="What", label="what", links=(to_moment(),)),
        number("Lasted", f"{_alert(lasted)} - {_alert(since)}", "s", 90, decimals=0),
        empty="Nothing changed in this range",
        worst_by="When",
        around="When",
    )


def _event(event: str, page: str, times: str, what: str = "instance") -> str:
    """PromQL: times of events in the range, with the labels instance, event, what and page."""
    named = f'label_replace({times}, "what", "$1", "{what}", "(.+)")'
    labelled = f'label_replace(label_replace({named}, "event", "{event}", "", ""), "page", "{page}", "", "")'
    return f"max by (instance, event, what, page) ({labelled})"


def _in_range(times: str) -> str:
    return f"{times} > time() - $__range_s"


def _alert(promql: str) -> str:
    """PromQL of alerts with the labels of an event."""
    event = f'label_replace({with_what(promql)}, "event", "Alert $1", "alertname", "(.+)")'
    paged = f'label_replace({event}, "page", "grid-$1", "domain", "(.+)")'
    return f"max by (instance, event, what, page) ({paged})"


def _alerts() -> tuple[str, ...]:
    return (_alert(_in_range(f"({FIRED} and ignoring (alertstate) {FIRING})")),)


def _starts() -> tuple[str, ...]:
    """Reboots, and what was started."""
    exit_address = (
        "max by (instance, address) (grid_tor_exit_info{BOX})"
        " * on (instance) group_left () max by (instance) (grid_tor_exit_changed_timestamp_seconds{BOX})"
    )
    return (
        _event("Reboot", "grid-host", _in_range("grid_boot_timestamp_seconds{BOX}")),
        _event(
            "Container started",
            "grid-containers",
            _in_range("grid_container_started_timestamp_seconds{BOX}"),
            "container",
        ),
        _event(
            "Service started",
            "grid-services",
            _in_range("grid_service_started_timestamp_seconds{BOX}"),
            "name",
        ),
        _event("New Tor exit", "grid-tor", _in_range(exit_address), "address"),
    )


def _models() -> tuple[str, ...]:
    """Models that came and went while their directory was known."""
    first = f"min_over_time(timestamp({MODEL})[{RANGE}:5m])"
    last = f"max_over_time(timestamp({MODEL})[{RANGE}:5m])"
    came = f"max by (instance, path, entry) ({first}) and on (instance, path) {DIRECTORY} offset {RANGE})"
    went = f"max by (instance, path, entry) ({last}) unless max by (instance, path, entry) ({MODEL})"
    return (
        _event("Model appeared", "grid-disk", f"({came}) > time() - $__range_s + 600", "entry"),
        _event("Model removed", "grid-disk", f"({went}) and on (instance, path) {DIRECTORY})", "entry"),
    )


def _exporter() -> tuple[str, ...]:
    return (
        _event("Exporter started", "grid-exporter", _in_range('process_start_time_seconds{BOX, command=""}')),
        _event(
            "Web configuration reloaded",
            "grid-exporter",
            _in_range("grid_exporter_web_config_last_reload_success_timestamp_seconds{BOX}"),
        ),
        _event(
            "Configuration reloaded",
            "grid-exporter",
            _in_range("grid_exporter_config_last_reload_success_timestamp_seconds{BOX}"),
        ),
        _event("AIDE findings accepted", "grid-aide", _in_range("grid_aide_accept_timestamp_seconds{BOX}")),
    )


def versions() -> Panel:
    """A row a box: the versions of what it runs, and how old its AIDE database is."""
    age = "time() - max by (instance) (grid_aide_database_timestamp_seconds{BOX})"
    up_for = "clamp_min(time() - max by (instance) (grid_boot_timestamp_seconds{BOX}), 0)"
    watchtower = "max by (instance) (grid_watchtower_up{BOX})"
    labels = (
        "label_replace(max by (instance, version) (grid_exporter_build_info{BOX}), "
        '"exporter", "$1", "version", "(.+)")'
    )
    driver = _highest("driver_version", "grid_gpu_info", "driver")
    tor = _highest("version", "grid_tor_info", "tor")
    opened = to_box("grid-overview", "Open this box", "${__value.raw}")
    return table(
        "Versions",
        "A row a box: its exporter, GPU driver and Tor, since when it is up, how old AIDE's database is.",
        Column(title="Box", label="instance", width=110, links=(opened,)),
        text("Exporter", "exporter", 90),
        text("GPU driver", "driver"),
        text("Tor", "tor"),
        number("Up for", up_for, "s", 95, decimals=1),
        Column(
            title="AIDE database",
            promql=f"clamp_min({age}, 0) or {up_for} * 0 - 1",
            unit="s",
            decimals=1,
            width=150,
            base=PLAIN,
            texts={-1: ("no AIDE", OFF)},
        ),
        text_of("Watchtower", f"{watchtower} or {up_for} * 0 - 1", WATCHTOWER, 100),
        labels_from=(
            f"max by (instance, exporter) ({labels})"
            f" * on (instance) group_left (driver) ({driver}) * on (instance) group_left (tor) ({tor})"
        ),
        boxes=False,
        empty="No grid-exporter answers",
    )


WATCHTOWER = {
    -1: (NO_VALUE, OFF),
    0: ("not running", value_mappings.WARNING),
    1: ("running", PLAIN),
}


def _highest(label: str, info: str, name: str) -> str:
    """PromQL: one series a box with the highest value of a label, or without it."""
    one = f"topk by (instance) (1, group by (instance, {label}) ({info}{{BOX}}))"
    named = f'label_replace({one}, "{name}", "$1", "{label}", "(.+)")'
    return f"{named} or on (instance) group by (instance) (up{{BOX}})"


def images() -> Panel:
    """A row a container, the oldest first."""
    each = "by (instance, container)"
    age = f"clamp_min(time() - max {each} (grid_container_created_timestamp_seconds{{BOX}}), 0)"
    monitored = "2 * (grid_container_watchtower_monitor_only{BOX} == 1)"
    updated = f"max {each} ({monitored} or grid_container_watchtower_enabled{{BOX}}) or {age} * 0 - 1"
    return table(
        "Containers by age",
        "Since when each container exists, the oldest first, and whether Watchtower updates it.",
        text("Container", "container", 180),
        Column(title="Image", label="image", least=240),
        number("Age", age, "s", 110, (OLD, value_mappings.WARNING), decimals=1),
        text_of("Watchtower", updated, UPDATED, 110),
        worst_by="Age",
        labels_from=f"max {each[:-1]}, image) (grid_container_info{{BOX}})",
        empty="No containers now",
    )


UPDATED = {
    -1: (NO_VALUE, OFF),
    0: ("left alone", value_mappings.WARNING),
    2: ("monitor only", value_mappings.WARNING),
    1: ("updates", PLAIN),
}
