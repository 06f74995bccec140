"""Changes: what happened in the chosen range, and what is out of date."""

from __future__ import annotations

from grafana import value_mappings
from grafana.alerts_table import described
from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.events_table import events_table
from grafana.links import to_box
from grafana.sdk import SEVERAL, Panel
from grafana.tables import Column, number, table, text, text_of
from grafana.value_mappings import NO_VALUE, OFF, PLAIN

PAGE = "What changed in the chosen range, and what is out of date."
LATE_SECONDS = 600  # until a start is scraped: a box boots, a container pulls its models
FIRED = "ALERTS_FOR_STATE{BOX}"
FIRING = 'ALERTS{BOX, alertstate="firing"}'
MODEL = 'grid_directory_entry_size_bytes{BOX, entry!="(other)"}'
DIRECTORY = "max by (instance, path) (grid_directory_info{BOX}"
BOX = Column(
    title="Box",
    label="instance",
    least=80,
    links=(to_box("grid-overview", "Open this box", "${__value.raw}"),),
)
EACH = "by (instance, container)"
OLD = 90 * 86400  # containers older than this are marked

WITHOUT_TYPE = (r"(.+)\\.service", "$1")
# A phone wraps an address there, after its second dot: one that is cut would read as another.
BREAKABLE = ("([0-9]+[.][0-9]+[.])(.+)", "$1\u200b$2")


def page() -> Page:
    """The page."""
    changes = Page("grid-changes", PAGE, since="24h", refresh="1m")
    changes.heading("What changed")
    changes.band(14, what_changed())
    changes.heading("Out of date")
    changes.band(5, versions(), ages())
    changes.heading("Containers and images", folded=True)
    changes.band(10, containers(), images())
    changes.annotate(reboots(), alerts())
    return changes


def what_changed() -> Panel:
    """A row an event, newest first; each opens its page at that time."""
    events = " or ".join((*_starts(), *_llm_servers(), *_models(), *_exporter()))
    return events_table(
        "What changed",
        "What happened in the range, newest first; new exits of Tor only of one box. A click opens the page.",
        happened=f"({events}) * 1000",
        lasting=f"{_alert(f'({FIRED} and ignoring (alertstate) {FIRING})')} * 1000",
        empty="Nothing changed in this range",
    )


def _event(event: str, page: str, times: str, what: str = "") -> str:
    """PromQL: times of events, with the labels instance, event, what and page."""
    named = f'label_replace({times}, "what", "$1", "{what}", "(.+)")'
    labelled = f'label_replace(label_replace({named}, "event", "{event}", "", ""), "page", "{page}", "", "")'
    return f"max by (instance, event, what, page) ({labelled})"


def _changed(times: str, label: str, pattern: str, left: str) -> str:
    """PromQL: a label as an expression leaves it, where it matches."""
    return f'label_replace({times}, "{label}", "{left}", "{label}", "{pattern}")'


def _recent(times: str) -> str:
    """PromQL: those times that the last steps brought, so that each is seen at some step, even a late one."""
    return f"{times} > time() - 2 * $__interval_ms / 1000 - {LATE_SECONDS}"


def _step_of(promql: str) -> str:
    """PromQL: the time of the steps at which something is so, as near as is known."""
    return f"({promql}) * 0 + time()"


def _alert(promql: str) -> str:
    """PromQL of alerts with the labels of an event."""
    paged = f'label_replace({described(promql)}, "page", "grid-$1", "domain", "(.+)")'
    return f"max by (instance, event, what, page) ({paged})"


def _starts() -> tuple[str, ...]:
    """Reboots, and what was started."""
    exit_address = (
        "max by (instance, address) (grid_tor_exit_info{BOX})"
        " * on (instance) group_left () max by (instance) (grid_tor_exit_changed_timestamp_seconds{BOX})"
    )
    exit_changes = f"{_recent(exit_address)} unless on () ({SEVERAL})"
    return (
        _event("Reboot", "grid-host", _recent("grid_boot_timestamp_seconds{BOX}")),
        _event(
            "Container started",
            "grid-containers",
            _recent("grid_container_started_timestamp_seconds{BOX}"),
            "container",
        ),
        _event(
            "Service started",
            "grid-services",
            _changed(_recent("grid_service_started_timestamp_seconds{BOX}"), "name", *WITHOUT_TYPE),
            "name",
        ),
        _event("New Tor exit", "grid-tor", _changed(exit_changes, "address", *BREAKABLE), "address"),
    )


def _llm_servers() -> tuple[str, ...]:
    """LLM servers that went down and came up, also within a step."""
    up = "grid_llm_up{BOX}"
    before, was_down = f"{up} offset $__interval", f"min_over_time({up}[$__interval]) == 0"
    went = f"{was_down} and {before} == 1"
    came = f"{up} == 1 and ({was_down} or {before} == 0)"
    return (
        _event("LLM server down", "grid-llm", _step_of(went), "server"),
        _event("LLM server up", "grid-llm", _step_of(came), "server"),
    )


def _models() -> tuple[str, ...]:
    """Models that came and went while their directory was known."""
    now, before = (f"max by (instance, path, entry) ({MODEL}{at})" for at in ("", " offset $__interval"))
    known, known_before = (f"{DIRECTORY}{at})" for at in ("", " offset $__interval"))
    came = f"({now} unless {before}) and on (instance, path) {known_before}"
    went = f"({before} unless {now}) and on (instance, path) {known}"
    return (
        _event("Model appeared", "grid-disk", _step_of(came), "entry"),
        _event("Model removed", "grid-disk", _step_of(went), "entry"),
    )


def _exporter() -> tuple[str, ...]:
    return (
        _event("Exporter started", "grid-exporter", _recent('process_start_time_seconds{BOX, command=""}')),
        _event(
            "Web configuration reloaded",
            "grid-exporter",
            _recent("grid_exporter_web_config_last_reload_success_timestamp_seconds{BOX}"),
        ),
        _event(
            "Configuration reloaded",
            "grid-exporter",
            _recent("grid_exporter_config_last_reload_success_timestamp_seconds{BOX}"),
        ),
        _event("AIDE findings accepted", "grid-aide", _recent("grid_aide_accept_timestamp_seconds{BOX}")),
    )


def versions() -> Panel:
    """A row a box: the versions of what it runs."""
    labels = (
        "label_replace(max by (instance, version) (grid_exporter_build_info{BOX}), "
        '"exporter", "$1", "version", "(.+)")'
    )
    driver = _highest("driver_version", "grid_gpu_info", "driver")
    tor = _highest("version", "grid_tor_info", "tor")
    return table(
        "Versions",
        "A row a box: the versions of its exporter, GPU driver and Tor.",
        BOX,
        text("Exporter", "exporter", least=85),
        text("Driver", "driver", least=85),
        text("Tor", "tor", least=70),
        labels_from=(
            f"max by (instance, exporter) ({labels})"
            f" * on (instance) group_left (driver) ({driver}) * on (instance) group_left (tor) ({tor})"
        ),
        boxes=False,
        empty="No grid-exporter answers",
    )


def ages() -> Panel:
    """A row a box: for how long it is up, how old its AIDE database is, whether Watchtower runs."""
    age = "time() - max by (instance) (grid_aide_database_timestamp_seconds{BOX})"
    up_for = "clamp_min(time() - max by (instance) (grid_boot_timestamp_seconds{BOX}), 0)"
    watchtower = "max by (instance) (grid_watchtower_up{BOX})"
    return table(
        "Ages",
        "A row a box: how long it is up, how old AIDE's database is, whether Watchtower updates containers.",
        BOX,
        number("Up for", up_for, "s", 80, decimals=1),
        Column(
            title="AIDE",
            promql=f"clamp_min({age}, 0) or {up_for} * 0 - 1",
            unit="s",
            decimals=1,
            width=80,
            base=PLAIN,
            texts={-1: ("no AIDE", OFF)},
        ),
        text_of("Watchtower", f"{watchtower} or {up_for} * 0 - 1", WATCHTOWER, 100),
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


def containers() -> Panel:
    """A row a container, the oldest first."""
    age = f"clamp_min(time() - max {EACH} (grid_container_created_timestamp_seconds{{BOX}}), 0)"
    monitored = "2 * (grid_container_watchtower_monitor_only{BOX} == 1)"
    updated = f"max {EACH} ({monitored} or grid_container_watchtower_enabled{{BOX}}) or {age} * 0 - 1"
    return table(
        "Containers by age",
        "Since when each container exists, the oldest first, and whether Watchtower updates it.",
        text("Container", "container", least=150),
        number("Age", age, "s", 92, (OLD, value_mappings.WARNING), decimals=1),
        text_of("Watchtower", updated, UPDATED, 105),
        worst_by="Age",
        empty="No containers now",
    )


def images() -> Panel:
    """A row a container and the image that it was made from."""
    return table(
        "Images",
        "The image that each container was made from.",
        text("Container", "container", least=110),
        text("Image", "image", least=150),
        labels_from=f"max {EACH[:-1]}, image) (grid_container_info{{BOX}})",
        worst_by="Container",
        ascending=True,
        empty="No containers now",
    )


UPDATED = {
    -1: (NO_VALUE, OFF),
    0: ("left alone", value_mappings.WARNING),
    2: ("monitor only", value_mappings.WARNING),
    1: ("updates", PLAIN),
}
