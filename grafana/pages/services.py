"""Services: systemd's services and timers."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.annotations import alerts, reboots
from grafana.charts import lines, timeline
from grafana.dashboard import Page
from grafana.row_names import shortened
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, names_stat, state_stat, values_stat
from grafana.state_codes import one_code
from grafana.tables import Column, number, state, table, text
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, WARNING
from prometheus.health import SERVICES
from prometheus.thresholds import TIMER_OVERDUE_SECONDS

PAGE = "systemd's services and timers: what is active, what failed, what is overdue."
NO_SERVICES = "No services in this range"
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

# The ending of a unit is clear from its table.
WITHOUT_TYPE = (r"(.+)\\.(?:service|timer)", "$1")


def page() -> Page:
    """The page."""
    services = Page("grid-services", PAGE, since="24h", refresh="30s")
    services.filter_by_category()
    services.band(4, state_stat(SERVICES), stats(), system(), widths=(6, 14, 4))
    services.band(9, services_now(), use_now())
    services.heading("Timers", folded=True)
    services.band(7, timers())
    services.heading("Services over time", folded=True)
    services.band(9, over_the_range())
    services.band(7, memory())
    services.annotate(reboots(), alerts("services"))
    return services


def stats() -> Panel:
    """All services and timers in five values."""
    restarts = f"round(sum(increase(grid_service_restarts_total{{{CHOSEN}}}[$__range])))"
    due = "grid_systemd_timer_next_trigger_timestamp_seconds{BOX}"
    bad, odd = threshold_steps.CRITICAL_FROM_ONE, threshold_steps.WARN_FROM_ONE
    return values_stat(
        "All services and timers",
        "Watched services; failed units are those of the whole system. Restarts are those of the range.",
        (
            Value(
                "Active",
                f'sum(grid_service_state{{{CHOSEN}, state=~"active|reloading|refreshing"}})',
                "short",
            ),
            Value("Failed", f'sum(grid_service_state{{{CHOSEN}, state="failed"}})', "short", steps=bad),
            Value("Failed units", "sum(grid_systemd_failed_units{BOX})", "short", steps=bad),
            Value("Restarts", restarts, "short", steps=odd),
            Value("Overdue timers", f"count({LATE}) or sum({due}) * 0", "short", steps=odd),
            absent(SERVICES),
        ),
    )


def system() -> Panel:
    """Systemd's state of the whole system."""
    return names_stat(
        "systemd",
        "The state of the system, as systemd reports it; a row a box where they differ.",
        "max by (state) (grid_systemd_state{BOX}) == 1",
        "{{state}}",
        text="",
        empty="unknown",
    )


def over_the_range() -> Panel:
    """A row a service."""
    return timeline(
        "Services over time",
        "systemd's state of each watched service.",
        over_time(shortened(CODE, "name", "unit", WITHOUT_TYPE), "${who}{{unit}}"),
        texts=TEXTS,
        empty=NO_SERVICES,
        rows_a_page=12,
    )


def services_now() -> Panel:
    """A row a service: its state."""
    up_for = f"time() - max {EACH} (grid_service_started_timestamp_seconds{{{CHOSEN}}})"
    restarts = f"round(max {EACH} (increase(grid_service_restarts_total{{{CHOSEN}}}[$__range])))"
    return table(
        "Services now",
        "A row a watched service, worst first. Restarts are those of the chosen range.",
        text("Service", "name", least=98, short=WITHOUT_TYPE),
        state("State", CODE, TEXTS, 90),
        number("Up for", up_for, "s", 82, decimals=1, empty=NO_VALUE),
        number("Restarts", restarts, "short", 80, *threshold_steps.WARN_FROM_ONE),
        hidden=("category",),
        worst_by="State",
        empty="No services now",
    )


def use_now() -> Panel:
    """A row a service: what it uses."""
    cores = f"sum {EACH} (rate(grid_service_cpu_seconds_total{{{CHOSEN}}}[$__rate_interval]))"
    return table(
        "What services use",
        "A row a watched service: its category, memory with its file cache, and processor cores.",
        text("Service", "name", least=98, short=WITHOUT_TYPE),
        text("Category", "category", width=90),
        number("Memory", MEMORY, "bytes", 92, decimals=0, empty=NO_VALUE),
        number("Cores", cores, "none", 65, decimals=2, empty=NO_VALUE),
        labels_from=f"max {EACH} (grid_service_state{{{CHOSEN}}} == 1)",
        worst_by="Memory",
        empty="No service reports what it uses",
    )


def timers() -> Panel:
    """A row a timer."""
    late = f"({LATE}) * 0 + 1 or {NEXT} * 0"
    return table(
        "Timers",
        "systemd's timers: how long ago each ran, and the next to trigger first.",
        text("Timer", "name", least=92, short=WITHOUT_TYPE),
        state("State", late, {0: ("on time", OK), 1: ("overdue", WARNING)}, 85),
        number("Last ran", f"clamp_min(time() - {LAST}, 0)", "s", 80, decimals=1, empty="never"),
        Column(
            title="Next in",
            promql=f"clamp_min({NEXT} - time(), 0)",
            unit="s",
            decimals=1,
            width=92,
            texts={0: ("overdue", WARNING)},
        ),
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
        empty=NO_SERVICES,
    )
