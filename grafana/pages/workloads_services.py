"""Workloads, third part: services and timers."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.charts import Legend, lines, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import label_stat, state_stat, value_stat
from grafana.state_codes import one_code
from grafana.tables import number, state, table, text
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, WARNING
from prometheus.health import SERVICES
from prometheus.thresholds import TIMER_OVERDUE_SECONDS

NO_SERVICES = "No services seen in this range"
CHOSEN = 'BOX, category=~"$category"'
EACH = "by (instance, category, name)"
MEMORY = f"max {EACH} (grid_service_memory_bytes{{{CHOSEN}}})"
NEXT = "min by (instance, name) (grid_systemd_timer_next_trigger_timestamp_seconds{BOX})"
LAST = "max by (instance, name) (grid_systemd_timer_last_trigger_timestamp_seconds{BOX})"
# While what it started still runs, a timer's next trigger stays in the past: that one was kept.
LATE = f"{NEXT} < time() - {TIMER_OVERDUE_SECONDS} unless {LAST} >= {NEXT}"

STATES = {
    "active": 1,
    "reloading": 2,
    "refreshing": 2,
    "activating": 2,
    "deactivating": 3,
    "maintenance": 4,
    "inactive": 5,
    "not-found": 6,
    "failed": 20,
}
CODE = one_code(
    EACH, {f'grid_service_state{{{CHOSEN}, state="{name}"}}': code for name, code in STATES.items()}
)
TEXTS = {
    1: ("active", OK),
    2: ("starting", NEUTRAL),
    3: ("stopping", NEUTRAL),
    4: ("maintenance", NEUTRAL),
    5: ("inactive", OFF),
    6: ("not found", OFF),
    20: ("failed", CRITICAL),
}


def services(page: Page) -> None:
    """The part under its heading."""
    page.heading("Services and timers")
    page.band(3, state_stat(SERVICES), *stats())
    page.band(10, over_the_range(), services_now())
    page.band(6, timers(), memory())


def stats() -> list[Panel]:
    """All services and timers in seven values."""
    active = f'sum(grid_service_state{{{CHOSEN}, state=~"active|reloading|refreshing"}})'
    failed = f'sum(grid_service_state{{{CHOSEN}, state="failed"}})'
    failed_units = "sum(grid_systemd_failed_units{BOX})"
    its_word = "max by (state) (grid_systemd_state{BOX}) == 1"
    restarts = f"round(sum(increase(grid_service_restarts_total{{{CHOSEN}}}[$__range])))"
    due = "grid_systemd_timer_next_trigger_timestamp_seconds{BOX}"
    overdue = f"count({LATE}) or sum({due}) * 0"
    bad, odd = threshold_steps.CRITICAL_FROM_ONE, threshold_steps.WARN_FROM_ONE
    return [
        value_stat("Active", "Watched services that are active.", active),
        value_stat("Failed", "Watched services that have failed.", failed, "short", *bad),
        value_stat(
            "Failed units", "Failed units of the whole system, watched or not.", failed_units, "short", *bad
        ),
        label_stat("systemd", "The state of the system, as systemd reports it.", its_word, "state"),
        value_stat("Restarts", "Restarts of watched services in the chosen range.", restarts, "short", *odd),
        value_stat("Timers", "Timers that will trigger again.", f"count({due})"),
        value_stat("Overdue", "Timers that are too late.", overdue, "short", *odd),
    ]


def over_the_range() -> Panel:
    """A row_height a service."""
    return timeline(
        "Services over time",
        "systemd's state of each watched service.",
        over_time(CODE, "${who}{{name}}"),
        texts=TEXTS,
        empty=NO_SERVICES,
    )


def services_now() -> Panel:
    """A row a service."""
    up_for = f"time() - max {EACH} (grid_service_started_timestamp_seconds{{{CHOSEN}}})"
    restarts = f"round(max {EACH} (increase(grid_service_restarts_total{{{CHOSEN}}}[$__range])))"
    cores = f"sum {EACH} (rate(grid_service_cpu_seconds_total{{{CHOSEN}}}[$__rate_interval]))"
    return table(
        "Services now",
        "A row a watched service, worst first. Restarts are those of the chosen range.",
        text("Instance", "instance", 110),
        text("Category", "category", 85),
        text("Service", "name", 170),
        state("State", CODE, TEXTS, 85),
        number("Up for", up_for, "s", 90, decimals=1, empty=NO_VALUE),
        number("Restarts", restarts, "short", 75, *threshold_steps.WARN_FROM_ONE),
        number("Cores", cores, "none", 65, decimals=2, empty=NO_VALUE),
        number("Memory", MEMORY, "bytes", 80, decimals=0, empty=NO_VALUE),
        worst_by="State",
        empty="No services now",
    )


def timers() -> Panel:
    """A row a timer."""
    late = f"({LATE}) * 0 + 1 or {NEXT} * 0"
    return table(
        "Timers",
        "systemd's timers, the next to trigger first.",
        text("Instance", "instance", 120),
        text("Timer", "name", 180),
        state("State", late, {0: ("on time", OK), 1: ("overdue", WARNING)}, 95),
        number("Last ran, ago", f"time() - {LAST}", "s", decimals=1, empty="never"),
        number("Next in", f"{NEXT} - time()", "s", decimals=1),
        worst_by="Next in",
        ascending=True,
        empty="No timers now",
    )


def memory() -> Panel:
    """What services hold."""
    return lines(
        "Service memory",
        "Memory held by each watched service, its file cache included.",
        "bytes",
        over_time(MEMORY, "${who}{{name}}"),
        legend=Legend(260, ("lastNotNull",)),
        empty=NO_SERVICES,
    )
