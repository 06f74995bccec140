"""Containers: their states, restarts, processors and memory."""

from __future__ import annotations

from dataclasses import replace

from grafana import threshold_steps
from grafana.annotations import alerts, reboots
from grafana.charts import stack, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, state_stat, values_stat
from grafana.state_codes import one_code
from grafana.tables import Column, number, share, state, table, text, text_of
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, PLAIN, WARNING
from prometheus.health import CONTAINERS

PAGE = "The containers: their states, restarts, processors and memory."
NO_CONTAINERS = "No containers in this range"
EACH = "by (instance, container)"
CORES = f"sum {EACH} (rate(grid_container_cpu_seconds_total{{BOX}}[$__rate_interval]))"
MEMORY = f"max {EACH} (grid_container_memory_bytes{{BOX}})"
STOPPED = f"max {EACH} (grid_container_exit_code{{BOX}})"
# For what may be none: nothing, where the engine answers, is 0 and not "unknown".
OR_NONE = "or sum(grid_container_engine_up{BOX}) * 0"

# State and health as one code; a running container's health is more precise than its state.
STATES = {"running": 1, "created": 3, "paused": 4, "exited": 5, "removing": 6, "restarting": 13, "dead": 21}
HEALTHS = {"starting": 2, "unhealthy": 12}
CODE = one_code(
    EACH,
    {f'grid_container_state{{BOX, state="{name}"}}': code for name, code in STATES.items()}
    | {f'grid_container_health{{BOX, health="{name}"}}': code for name, code in HEALTHS.items()},
)
TEXTS = {
    1: ("running", OK),
    2: ("starting", NEUTRAL),
    3: ("created", OFF),
    4: ("paused", NEUTRAL),
    5: ("exited", OFF),
    6: ("removing", OFF),
    12: ("unhealthy", WARNING),
    13: ("restarting", WARNING),
    21: ("dead", CRITICAL),
}
EXITS = {
    0: ("0", PLAIN),
    137: ("137 killed", WARNING),
    143: ("143 stopped", PLAIN),
    1137: ("137 out of memory", CRITICAL),
}


def page() -> Page:
    """The page."""
    containers = Page("grid-containers", PAGE, since="24h", refresh="30s")
    containers.band(4, state_stat(CONTAINERS), stats(), widths=(6, 18))
    containers.band(10, containers_now(), use_now())
    containers.heading("Containers over time", folded=True)
    containers.band(11, over_the_range())
    containers.band(8, cores(), memory())
    containers.heading("Stopped containers", folded=True)
    containers.band(5, stopped_now())
    containers.annotate(reboots(), alerts("containers"))
    return containers


def stats() -> Panel:
    """All containers in six values."""
    odd = threshold_steps.WARN_FROM_ONE
    restarts = "round(sum(increase(grid_container_restarts_total{BOX}[$__range])))"
    unhealthy = f'sum(grid_container_health{{BOX, health="unhealthy"}}) {OR_NONE}'
    failed = f"sum(grid_container_exit_code{{BOX}} != bool 0) {OR_NONE}"
    return values_stat(
        "All containers",
        "Restarts are those of the range; failed are those that exited with another code than 0.",
        (
            Value("Running", 'sum(grid_container_state{BOX, state="running"})', "short"),
            Value("Stopped", 'sum(grid_container_state{BOX, state=~"exited|created|dead"})', "short"),
            Value("Unhealthy", unhealthy, "short", steps=odd),
            Value("Restarts", restarts, "short", steps=odd),
            Value("Failed", failed, "short", steps=odd),
            Value("OOM kills", "sum(grid_container_oom_killed{BOX})", "short", steps=odd),
            absent(CONTAINERS),
        ),
    )


def over_the_range() -> Panel:
    """A row a container; a restart loop is stripes."""
    return timeline(
        "Containers over time",
        "Each container's state and health as one state. A restart loop shows as stripes.",
        over_time(CODE, "${who}{{container}}"),
        texts=TEXTS,
        empty=NO_CONTAINERS,
        rows_a_page=12,
    )


def containers_now() -> Panel:
    """A row a container: its state."""
    restarts = f"round(max {EACH} (increase(grid_container_restarts_total{{BOX}}[$__range])))"
    return table(
        "Containers now",
        "A row a container, worst first. Restarts are those of the chosen range.",
        text("Container", "container", least=98),
        state("State", CODE, TEXTS, 90),
        number("Up for", up_for(), "s", 82, decimals=1, empty=NO_VALUE),
        number("Restarts", restarts, "short", 80, *threshold_steps.WARN_FROM_ONE),
        worst_by="State",
        empty="No containers now",
    )


def use_now() -> Panel:
    """A row a container: what it uses."""
    of_limit = f"max {EACH} (grid_container_memory_bytes{{BOX}} / grid_container_memory_limit_bytes{{BOX}})"
    return table(
        "What containers use",
        "A row a container that runs: its memory, of its limit, and processor cores.",
        text("Container", "container", least=96),
        number("Memory", MEMORY, "bytes", 92, decimals=1, empty=NO_VALUE),
        of_its_limit(f"{of_limit} or {MEMORY} * 0 - 1"),
        number("Cores", CORES, "none", 65, decimals=2, empty=NO_VALUE),
        worst_by="Memory",
        empty="No containers now",
    )


def stopped_now() -> Panel:
    """A row a container that does not run: how it ended, and whether it is to run."""
    policy = f"max {EACH[:-1]}, restart_policy) (grid_container_info{{BOX}})"
    return table(
        "Stopped containers",
        "A row a container that does not run: how it ended, and its restart policy.",
        text("Container", "container", least=98),
        text_of("Last exit", last_exit(), EXITS, 124, *threshold_steps.WARN_FROM_ONE),
        text("Restart policy", "restart_policy", width=128),
        labels_from=f"{policy} and on (instance, container) {STOPPED}",
        worst_by="Last exit",
        empty="Every container runs",
    )


def up_for() -> str:
    """Since when each container that runs does."""
    started = f"max {EACH} (grid_container_started_timestamp_seconds{{BOX}})"
    running = 'grid_container_state{BOX, state="running"} == 1'
    return f"clamp_min(time() - {started}, 0) and on (instance, container) {running}"


def last_exit() -> str:
    """How each container that does not run ended; the kernel's kill adds 1000 to the exit code."""
    return f"{STOPPED} + 1000 * max {EACH} (grid_container_oom_killed{{BOX}})"


def of_its_limit(promql: str) -> Column:
    """The share of its memory limit that a container uses, where it has one."""
    limited = share("Of limit", promql, *threshold_steps.steps(threshold_steps.CONTAINER_MEMORY), width=95)
    return replace(limited, texts={-1: ("no limit", OFF)})


def cores() -> Panel:
    """What they compute."""
    return stack(
        "Cores used",
        "Processor cores in use by each container, stacked.",
        "none",
        over_time(CORES, "${who}{{container}}"),
        decimals=1,
        empty=NO_CONTAINERS,
    )


def memory() -> Panel:
    """What they hold."""
    return stack(
        "Memory",
        "Memory held by each container less file cache that is not in use, stacked.",
        "bytes",
        over_time(MEMORY, "${who}{{container}}"),
        empty=NO_CONTAINERS,
    )
